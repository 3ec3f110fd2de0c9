"""A controller that chains modules through one shared workspace, trained end to end (arXiv 2503.01906).

The workspace is one vector. Three modules read and write it: Input puts the first addend there, Increment turns a
number into the next one, Output takes what is there as the answer. At each step an LSTM gates them; it is never
told what to do, it learns from the right sum alone, through the gates.

The second addend is given as a pile of tokens outside of the controller, and each increment takes one away. The
controller is told only whether tokens are left and whether the workspace is filled, so it has no need to count, and
a trained one can be set before a larger workspace (`Workspace.wider`). In training a step may be lost (`stalled`):
the gated modules do nothing, as a module that is busy; a controller that counts its steps is then wrong in training
too.

What the paper's text does not say in full (how the second addend reaches the controller, sizes, rates) is our own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

DIGITS, SUMS = 10, 19
"""Addends 0..9, sums 0..18."""
SEEN = 5
"""The largest second addend in training."""
STEPS = 2
"""An input and an output, beside the increments."""
INPUT, INCREMENT, OUTPUT = range(3)

Count: TypeAlias = Literal["pile", "scalar", "bits"]
"""How the second addend is given: tokens that increments take away; a number / 10 that stays; for each step one
bit that says whether the step is below it (a pile that time takes away)."""


@dataclass(frozen=True, slots=True)
class Chain:
    """hidden: of the LSTM. stalled: share of the steps that are lost in training."""

    count: Count = "pile"
    hidden: int = 8
    stalled: float = 0.3
    steps: int = 400
    rate: float = 0.02


class Controller(nn.Module):
    """What it sees of the workspace and of the count -> weights of the three modules. An LSTM for each seed, all side by
    side: each step of all takes little longer than one of a single net."""

    def __init__(self, hidden: int, seeds: Sequence[int]) -> None:
        super().__init__()

        def drawn(name: str, *shape: int) -> nn.Parameter:
            each = [torch.rand(shape, generator=_drawing(seed, name)) * 2 - 1 for seed in seeds]
            return nn.Parameter(torch.stack(each) / hidden**0.5)

        self.see = drawn("see", 2, 4 * hidden)
        self.keep = drawn("keep", hidden, 4 * hidden)
        self.bias = drawn("bias", 1, 4 * hidden)
        self.gate = drawn("gate", hidden, 3)

    def forward(
        self, seen: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """seen: [seeds, batch, 2]; state: two of [seeds, batch, hidden] -> gate logits [seeds, batch, 3] and the state."""
        h, c = state
        made = torch.baddbmm(self.bias + seen @ self.see, h, self.keep)
        let_in, forget, out, new = made.chunk(4, 2)
        c = forget.sigmoid() * c + let_in.sigmoid() * new.tanh()
        h = out.sigmoid() * c.tanh()
        return h @ self.gate, (h, c)


class Workspace(nn.Module):
    """The modules and their controllers, one for each seed.

    increment: [places, places], what Increment does to the workspace; None trains one from the sums (19 places, its
    rows are distributions). Gates are soft in training; in use the strongest module alone acts.
    """

    def __init__(self, chain: Chain, increment: Tensor | None, seeds: Sequence[int]) -> None:
        super().__init__()
        self.chain, self.seeds = chain, tuple(seeds)
        self.controller = Controller(chain.hidden, seeds)
        if increment is None:
            self.increment = nn.Parameter(torch.zeros(len(seeds), SUMS, SUMS))
        else:
            self.fixed = nn.Buffer(increment)
        self.learns = increment is None

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """first: [seeds, batch, 10], one-hot or probabilities; second: [seeds, batch] int -> the answers
        [seeds, batch, places], each with a sum of at most 1."""
        limit = STEPS + int(second.max())
        limit = round(limit / (1 - self.chain.stalled)) + 2 if self.training else limit + 2
        matrix = self.increment.softmax(2) if self.learns else self.fixed
        number = nn.functional.pad(first, (0, matrix.shape[-1] - DIGITS))
        held, answer = torch.zeros_like(number), torch.zeros_like(number)
        left = one_hot(second, max(DIGITS, int(second.max()) + 1)).float()
        empty = torch.zeros(*second.shape, self.chain.hidden)
        state = (empty, empty)
        for step in range(limit):
            seen = torch.stack([held.sum(2), self._told(left, second, step)], 2)
            logits, state = self.controller(seen, state)
            load, next_, done = self._acting(logits).chunk(3, 2)
            answer = answer + done * (held - answer)
            held = held + load * (number - held) + next_ * (held @ matrix - held)
            left = left + next_ * (_taken(left) - left)
        return answer

    def _told(self, left: Tensor, second: Tensor, step: int) -> Tensor:
        match self.chain.count:
            case "pile":
                return 1 - left[..., 0]
            case "scalar":
                return second / DIGITS
            case "bits":
                return (second > step - 1).float()

    def _acting(self, logits: Tensor) -> Tensor:
        if not self.training:
            return one_hot(logits.argmax(2), 3).float()
        going = (torch.rand(*logits.shape[:2], 1) >= self.chain.stalled).float()
        return logits.softmax(2) * going

    def wider(self, places: int) -> "Workspace":
        """The same controllers before a workspace of more places, with the increment as written by hand."""
        made = Workspace(self.chain, shift(places), self.seeds)
        made.controller.load_state_dict(self.controller.state_dict())
        return made.eval()


def _drawing(seed: int, what: str) -> torch.Generator:
    return torch.Generator().manual_seed(1_000 * seed + sum(map(ord, what)))


def _taken(left: Tensor) -> Tensor:
    """A token less: [seeds, batch, tokens + 1], where place 0 means that none is left."""
    none = torch.zeros_like(left[..., :1])
    return torch.cat([left[..., :2].sum(2, keepdim=True), left[..., 2:], none], 2)


def shift(places: int = SUMS) -> Tensor:
    """Increment as written by hand: n becomes n + 1, and the last stays."""
    made = torch.zeros(places, places)
    made[range(places - 1), range(1, places)] = 1
    made[-1, -1] = 1
    return made


Drawn: TypeAlias = Callable[[Tensor], Tensor]
"""First addends [seeds, batch] int -> how they are given to a net, [seeds, batch, 10]: one-hot, or read of images."""


def plain(first: Tensor) -> Tensor:
    return one_hot(first, DIGITS).float()


@dataclass(frozen=True, slots=True)
class Training:
    """rate: the greatest of a one-cycle rate. batch: sums of each seed."""

    steps: int
    rate: float
    batch: int = 64


def fit(
    net: nn.Module, pairs: Tensor, seeds: Sequence[int], training: Training, drawn: Drawn = plain
) -> None:
    """Trains on the sums of pairs [seeds, n, 2] alone. The net gives probabilities of the 19 sums, [seeds, batch, 19].

    The same seeds, the same net; each seed has its own draws.
    """
    torch.manual_seed(seeds[0])
    draws = [_drawing(seed, "pairs") for seed in seeds]
    optimiser = torch.optim.Adam(net.parameters(), training.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, training.rate, total_steps=training.steps
    )
    net.train()
    for _ in range(training.steps):
        rows = [torch.randint(pairs.shape[1], (training.batch,), generator=d) for d in draws]
        chosen = torch.stack([p[r] for p, r in zip(pairs, rows, strict=True)])
        given = net(drawn(chosen[..., 0]), chosen[..., 1])
        right = given.gather(2, chosen.sum(2, keepdim=True))
        loss = -(right + 1e-6).log().mean() * len(seeds)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), len(seeds) ** 0.5)
        optimiser.step()
        schedule.step()
    net.eval()


@torch.inference_mode()
def accuracies(net: nn.Module, pairs: Tensor, drawn: Drawn = plain) -> list[float]:
    """For each seed the share of its pairs [seeds, n, 2] whose sum is given."""
    answer = net.eval()(drawn(pairs[..., 0]), pairs[..., 1])
    shares: list[float] = (answer.argmax(2) == pairs.sum(2)).float().mean(1).tolist()
    return shares


def split(seed: int, kept_back: int = 12) -> Mapping[str, Tensor]:
    """Of a seed, pairs [n, 2]: train; between (unseen, of the same range); beyond (second addends above SEEN); known (those of
    beyond whose sum is that of a pair in training)."""
    every = torch.cartesian_prod(torch.arange(DIGITS), torch.arange(DIGITS))
    inside, beyond = every[every[:, 1] <= SEEN], every[every[:, 1] > SEEN]
    order = torch.randperm(len(inside), generator=torch.Generator().manual_seed(seed))
    train = inside[order[kept_back:]]
    known = beyond[torch.isin(beyond.sum(1), train.sum(1))]
    return {"train": train, "between": inside[order[:kept_back]], "beyond": beyond, "known": known}


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def told(second: Tensor) -> Tensor:
    """The second addend for the nets beside it: a bit for each token, [batch, 9, 1]."""
    return (torch.arange(DIGITS - 1)[None] < second[:, None]).float()[..., None]


class Recurrent(nn.Module):
    """Beside it: an LSTM that reads the first addend and then a bit for each token of the second one."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.lstm = nn.LSTM(DIGITS + 1, hidden, batch_first=True)
        self.out = nn.Linear(hidden, SUMS)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """As Workspace.forward, for one seed."""
        answer: Tensor = self.out(self.lstm(_sequence(first[0], second[0]))[0][:, -1]).softmax(1)
        return answer[None]


class Attending(nn.Module):
    """Beside it: a Transformer over the same sequence, with learned places; it answers at the first token."""

    def __init__(self, width: int = 32, layers: int = 2) -> None:
        super().__init__()
        self.read = nn.Linear(DIGITS + 1, width)
        self.places = nn.Parameter(torch.randn(DIGITS, width) / 10)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.out = nn.Linear(width, SUMS)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """As Workspace.forward, for one seed."""
        made = self.layers(self.read(_sequence(first[0], second[0])) + self.places)
        answer: Tensor = self.out(made[:, 0]).softmax(1)
        return answer[None]


def _sequence(first: Tensor, second: Tensor) -> Tensor:
    """[batch, 10, 11]: the first addend, and then the tokens."""
    head = nn.functional.pad(first, (0, 1))[:, None]
    return torch.cat([head, nn.functional.pad(told(second), (DIGITS, 0))], 1)


def trained(
    chain: Chain,
    seeds: Sequence[int],
    pairs: Tensor,
    increment: Tensor | None,
    drawn: Drawn = plain,
) -> Workspace:
    """A workspace with a controller for each seed, trained on its pairs [seeds, n, 2]."""
    made = Workspace(chain, increment, seeds)
    fit(made, pairs, seeds, Training(chain.steps, chain.rate), drawn)
    return made


def beside(
    seed: int, pairs: Tensor, drawn: Drawn = plain, steps: int = 1_200
) -> tuple[Recurrent, Attending]:
    """The LSTM and the Transformer, trained on the same pairs [1, n, 2] of one seed."""
    torch.manual_seed(seed)
    nets = (Recurrent(), Attending())
    for net in nets:
        fit(net, pairs, (seed,), Training(steps, 4e-3), drawn)
    return nets
