"""The live page as a part of `agent serve`: there where LIVE_PORT asks for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from agent.config import ServeConfig
from agent.live.handler import Viewing
from agent.live.latest import Latest
from agent.live.mask import Mask
from agent.live.pictures import Pictures
from agent.live.report import Model
from agent.live.server import Live
from agent.termination import Refused


@contextlib.contextmanager
def live_page(config: ServeConfig, waiting_for: Callable[[], str | None]) -> Iterator[Latest | None]:
    """Serve the page while the block runs; what it yields is to be given each frame. None where no page is wanted.

    `waiting_for` says what the agent is doing before it is ready. Raises Refused with reason PortInUse.
    """
    wanted = config.live
    if wanted is None:
        yield None
        return
    latest = Latest(config.frame_rate, waiting_for)
    pictures = Pictures(latest, Mask(wanted.mask, wanted.settings), config.classes, wanted.rate)
    model = Model(config.identity, config.model.sha256, config.classes, config.confidence, config.iou)
    try:
        live = Live(wanted.port, Viewing(latest, pictures, model, wanted.rate, wanted.viewers))
    except OSError as error:
        raise Refused("PortInUse", f"LIVE_PORT {wanted.port} can't be opened: {error.strerror}") from error
    with contextlib.closing(live):
        yield latest
