"""All commands of the chat; help, menu and documentation are made of this list."""

from __future__ import annotations

from html import escape

from itb.live.notify.chat import asking, ordering
from itb.live.notify.chat.command import Answer, Asking, Command
from itb.live.notify.chat.gate import Role

_OWNER = Role.OWNER


def blacklist(whom: Asking, _: tuple[str, ...]) -> Answer:
    """List the markets that a person has blocked."""
    return Answer("<b>Blocked</b>\n" + (escape("\n".join(whom.bridge.blocked())) or "None."))


def help_text(role: Role) -> str:
    """List the commands that a role may give."""
    lines = [f"/{one.name} {one.usage}".rstrip() + f" - {one.help}" for one in COMMANDS.values() if one.role <= role]
    return escape("\n".join(lines))


LIST = (
    Command("status", "what it does and holds; or one position", asking.status, usage="[SYMBOL]", most=1),
    Command("profit", "what closed trades brought", asking.profit, usage="[DAYS]", most=1),
    Command("daily", "gain by day", asking.daily, usage="[DAYS]", most=1),
    Command("weekly", "gain by week", asking.weekly, usage="[WEEKS]", most=1),
    Command("monthly", "gain by month", asking.monthly, usage="[MONTHS]", most=1),
    Command("performance", "gain by market", asking.performance),
    Command("balance", "what the account holds", asking.balance),
    Command("count", "how many positions and orders", asking.count),
    Command("trades", "the newest trades", asking.trades, usage="[COUNT]", most=1),
    Command("orders", "open orders and their keys", asking.orders),
    Command("chart", "a market and its score as a picture", asking.chart, usage="SYMBOL", most=1),
    Command("score", "what the models think of a market", asking.score, usage="SYMBOL", most=1),
    Command("scoreboard", "how what was sent turned out", asking.scoreboard),
    Command("model", "age, skill, next retraining", asking.model),
    Command("shadow", "strategies that are only watched, compared", asking.shadow),
    Command("backtest", "backtest the last days", asking.backtest, _OWNER, usage="[DAYS]", most=1),
    Command("optimize", "how far searches are, what they found", asking.optimize, usage="status", most=1),
    Command("health", "what is wrong, what is waited for", asking.health),
    Command("logs", "the newest lines of the log", asking.logs, _OWNER, usage="[COUNT]", most=1),
    Command("show_config", "the config in force, without secrets", asking.show_config, _OWNER, "[SECTION]", most=1),
    Command("whitelist", "markets that may be traded", asking.whitelist),
    Command("blacklist", "markets that are blocked", blacklist),
    Command("locks", "markets that protections locked", asking.locks),
    Command("start", "trade, or go on trading", ordering.start, _OWNER, question="Trade from the next bar on?"),
    Command("resume", "lift a pause or a halt", ordering.start, _OWNER, question="Trade from the next bar on?"),
    Command("pause", "enter nothing new", ordering.pause, _OWNER, question="Enter nothing new until /resume?"),
    Command("stopentry", "the same as pause", ordering.pause, _OWNER, question="Enter nothing new until /resume?"),
    Command("stop", "end the program", ordering.stop, _OWNER, question="End the program? Nothing is traded then."),
    Command(
        "forceenter", "enter a market now", ordering.force_enter, _OWNER, "SYMBOL [long|short]", 1, 2,
        "Enter {0} {1} now?",
    ),
    Command("forceexit", "close a position, or all", ordering.force_exit, _OWNER, "SYMBOL|all", 1, 1, "Close {0} now?"),
    Command("cancel", "cancel an order, or all", ordering.cancel, _OWNER, "KEY|all", 1, 1, "Cancel {0}?"),
    Command("block", "enter a market no more", ordering.block, _OWNER, "SYMBOL", 1, 1, "Enter {0} no more?"),
    Command("unblock", "lift a block", ordering.unblock, _OWNER, "SYMBOL", 1, 1, "Let {0} be entered again?"),
    Command("unlock", "lift locks of protections", ordering.unlock, _OWNER, "SYMBOL|all", 1, 1, "Lift locks of {0}?"),
    Command(
        "reload_config", "read the config again", ordering.reload_config, _OWNER,
        question="Work by the config as it is now, from the next bar on?",
    ),
    Command("version", "which itb this is", asking.version),
)  # fmt: skip

COMMANDS: dict[str, Command] = {one.name: one for one in LIST}
