import numpy as np
import pytest

from itb.errors import ModelError
from itb.mlmodels.timeline import ModelTimeline, TimelineEntry


def entry(known_at, promoted=True):
    return TimelineEntry(known_at - 5, known_at, known_at + 10, f"models/{known_at}.json", promoted, "sane", 100)


@pytest.fixture
def timeline():
    empty = ModelTimeline("return_5_linear", -np.inf, np.inf, ("a", "b"))
    return empty.appended(entry(100)).appended(entry(200, promoted=False)).appended(entry(300))


@pytest.mark.parametrize(
    ("open_time", "known_at"), [(109, None), (110, 100), (209, 100), (210, 100), (309, 100), (310, 300), (9999, 300)]
)
def test_the_latest_promoted_model_speaks(timeline, open_time, known_at):
    found = timeline.entry_at(open_time)
    assert (found.known_at if found else None) == known_at


def test_a_saved_timeline_comes_back(timeline, tmp_path):
    timeline.save(tmp_path / "timeline.json")
    assert ModelTimeline.load(tmp_path / "timeline.json") == timeline


def test_a_saved_timeline_can_be_continued(timeline, tmp_path):
    timeline.save(tmp_path / "timeline.json")
    timeline.appended(entry(400)).save(tmp_path / "timeline.json")
    assert len(ModelTimeline.load(tmp_path / "timeline.json").entries) == 4


def test_saved_entries_cannot_be_dropped_or_changed(timeline, tmp_path):
    timeline.save(tmp_path / "timeline.json")
    shorter = ModelTimeline("return_5_linear", -np.inf, np.inf, ("a", "b"), timeline.entries[:2])
    with pytest.raises(ModelError, match="does not continue"):
        shorter.save(tmp_path / "timeline.json")


def test_entries_must_follow_each_other(timeline):
    with pytest.raises(ValueError, match="entries must follow each other"):
        timeline.appended(entry(250))


@pytest.mark.parametrize(("trained_until", "known_at", "speaks_from"), [(6, 5, 7), (1, 5, 5), (1, 5, 4)])
def test_a_model_cannot_speak_before_it_is_known(trained_until, known_at, speaks_from):
    with pytest.raises(ValueError, match="trained_until <= known_at < speaks_from"):
        TimelineEntry(trained_until, known_at, speaks_from, "models/1.json", promoted=True, reason="")


def test_a_promoted_model_needs_a_file():
    with pytest.raises(ValueError, match="needs a file"):
        TimelineEntry(1, 2, 3, "", promoted=True, reason="")


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"format": 1, "column": 3}'])
def test_a_file_that_is_no_timeline_is_refused(tmp_path, content):
    (tmp_path / "timeline.json").write_text(content)
    with pytest.raises(ModelError, match=r"not a timeline .* Run `itb walkforward` again"):
        ModelTimeline.load(tmp_path / "timeline.json")


def test_a_missing_timeline_names_the_next_step(tmp_path):
    with pytest.raises(ModelError, match="Run `itb walkforward` first"):
        ModelTimeline.load(tmp_path / "timeline.json")
