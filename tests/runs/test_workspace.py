from itb.config import load_config
from itb.runs.backtest import backtest
from itb.runs.workspace import Workspace

QUICK = (
    "synthetic.bars=600",
    "features=[{family='series', inputs=['log_return']}]",
    "model.algorithm=logistic",
    "walkforward.train=300",
    "walkforward.min_train_rows=50",
    "walkforward.workers=1",
)


def test_another_folder_for_capsules_keeps_the_register(tmp_path):
    workspace = Workspace(load_config(overrides=QUICK, folder=tmp_path, environ={}))
    done = backtest(workspace, tmp_path / "elsewhere")[0]
    assert done.capsule.folder.parent == tmp_path / "elsewhere"
    assert [look.run_id for look in workspace.register.looks()] == [done.outcome.run_id]
