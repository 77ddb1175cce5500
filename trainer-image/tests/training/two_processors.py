"""What each process of a training on several GPUs runs, with processors for GPUs: ultralytics itself spreads no
training over those. All else is as in `trainer.ddp_worker`: torchrun, the processes, what they report and to whom.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import distributed, nn
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import RANK
from ultralytics.utils.torch_utils import strip_optimizer

from trainer.ddp_worker import main


class OnProcessors(DetectionTrainer):  # type: ignore[misc]
    def __init__(self, overrides: dict[str, Any]) -> None:
        assert overrides["device"] == "0,1"
        super().__init__(overrides=overrides | {"device": "cpu"})
        self.world_size = int(os.environ["WORLD_SIZE"])

    def _setup_ddp(self) -> None:
        distributed.init_process_group("gloo", rank=RANK, world_size=self.world_size)

    def final_eval(self) -> None:
        """Without the last validation, for which ultralytics asks CUDA where each process is."""
        if RANK == 0:
            strip_optimizer(self.last)
            strip_optimizer(self.best)

    def optimizer_step(self) -> None:
        """Gradients must have been averaged over the processes before any of them takes a step."""
        mine = torch.cat(
            [parameter.grad.flatten()[:8] for parameter in self.model.parameters() if parameter.grad is not None]
        )
        theirs = [torch.empty_like(mine) for _ in range(self.world_size)]
        distributed.all_gather(theirs, mine)
        assert all(torch.equal(mine, other) for other in theirs)
        if os.environ.get("FAIL_ON_RANK") == str(RANK) and self.epoch == 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        super().optimizer_step()


class OfProcessors(nn.parallel.DistributedDataParallel):
    def __init__(self, module: nn.Module, device_ids: list[None], **options: Any) -> None:
        assert device_ids == [None]
        super().__init__(module, **options)


if __name__ == "__main__":
    nn.parallel.DistributedDataParallel = OfProcessors
    main(OnProcessors)
