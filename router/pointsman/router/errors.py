"""Every error Pointsman raises on purpose, in one tree.

PointsmanError
├── RequestError          the caller's request cannot be taken as it is
│   ├── EmptyRequest
│   ├── RequestTooLong
│   ├── UnknownFile
│   ├── BadFile
│   ├── CannotPlan        nothing in the catalog does what was asked
│   ├── BadExample        a line of a file of past plans cannot be read
│   ├── UnfitExamples     past plans of another catalog
│   └── BadExpert         files of an expert, or examples for one, cannot be used
├── PlanError             a plan breaks a rule
│   ├── PlanNotJson, EmptyPlan, TooManyTasks, DuplicateTask, BadTaskId, UnknownCapability,
│   ├── UnknownRef, BadRefPath, CyclicPlan, MissingArgument, UnexpectedArgument,
│   ├── IllTypedArgument, ItemOutsideLoop, LoopTooLong, UnknownAnswer
│   └── BadActionPlan, OutsideWorkflow
├── RouterError           what the router is given to choose by cannot be used
│   ├── BadRouterModel, BadGolden, RoutesChanged, IndexDamaged, IndexInUse, BadEntry
├── CatalogError          a capability's description breaks a rule
│   ├── BadCapability, DuplicateCapability
├── ExpertError           an expert did not do its task
│   ├── BadArguments      the task's arguments cannot be served: another expert would fail too
│   ├── ExpertFailed      this expert failed: another may succeed
│   ├── ExpertTimeout, ExpertOverloaded, ExpertUnavailable: the same expert may succeed later
│   ├── WorkerLost, WorkerStopped, PoisonTask
│   ├── EffectUnknown     a `once` effect may or may not have happened: a person is asked
│   ├── CallRefused, AnswerUnfit, NoCredential, ToolFailed, ToolChanged, NotIsolated, ProgramFailed,
│   ├── PolicyRefused     (of tools, and the policy)
│   └── NoExpert, AddressRefused
├── ApprovalError         a person's decision stands in the way, or cannot be taken
│   ├── ApprovalDenied, ApprovalExpired, ApprovalNotFound, ApprovalConflict
├── WorkspaceError
│   ├── RunNotFound, RunOver, RunNotOver, NothingToRerun, StaleAttempt, StaleOwner, SlotConflict, WorkspaceUnavailable,
│   ├── OtherLayout, MigrationUnderWay
└── BudgetExceeded

`fault` says whose it is and decides what happens next: `caller` is told, `plan` is planned again,
`expert` falls back to the runner-up, `us` is a defect of ours.
"""

from typing import ClassVar, Literal

Fault = Literal["caller", "plan", "expert", "us"]


class PointsmanError(Exception):
    """Root of the tree. `code` is stable and part of the wire format."""

    code: ClassVar[str] = "error"
    fault: ClassVar[Fault] = "us"
    retryable: ClassVar[bool] = False
    nothing_done: ClassVar[bool] = False
    """Raised by an expert: certain that the call had no effect outside, so it may be made again."""
    retry_after: float = 0.0
    """Seconds to wait before another attempt."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class RequestError(PointsmanError):
    code = "request"
    fault: ClassVar[Fault] = "caller"


class EmptyRequest(RequestError):
    code = "request.empty"

    def __init__(self) -> None:
        super().__init__("the request has no words; say what you want done")


class RequestTooLong(RequestError):
    code = "request.too-long"

    def __init__(self, length: int, limit: int) -> None:
        self.length, self.limit = length, limit
        super().__init__(
            f"the request has {length:,} characters, the limit is {limit:,}; "
            "put long text in a file and send it along"
        )


class UnknownFile(RequestError):
    code = "request.unknown-file"

    def __init__(self, name: str, known: tuple[str, ...] = ()) -> None:
        self.name, self.known = name, known
        have = ", ".join(repr(k) for k in known[:10]) if known else "none"
        super().__init__(f"there is no file {name!r}; files at hand: {have}. Upload it first")


class BadFile(RequestError):
    code = "request.bad-file"

    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = name, why
        super().__init__(f"file {name!r} cannot be read: {why}")


class CannotPlan(RequestError):
    """Nothing in the catalog does what was asked. `could_do` are titles of what it could do."""

    code = "request.cannot-plan"

    def __init__(self, why: str, could_do: tuple[str, ...] = ()) -> None:
        self.why, self.could_do = why, could_do
        super().__init__(why)


class BadExample(RequestError):
    """A line of a file of past plans cannot be read."""

    code = "request.bad-example"

    def __init__(self, file: str, line: int, why: str) -> None:
        self.file, self.line, self.why = file, line, why
        super().__init__(f"file {file!r}, line {line}: {why}")


class UnfitExamples(RequestError):
    """None of the past plans uses only capabilities of the catalog."""

    code = "request.unfit-examples"

    def __init__(self, plans: int) -> None:
        self.plans = plans
        super().__init__(
            f"none of the {plans} plans uses only capabilities of this catalog; give plans made with it"
        )


class BadExpert(RequestError):
    """The files of an expert, or the examples to fit one on, cannot be used; the message says which and why."""

    code = "request.bad-expert"


class PlanError(PointsmanError):
    code = "plan"
    fault: ClassVar[Fault] = "plan"


class PlanNotJson(PlanError):
    code = "plan.not-json"

    def __init__(self, why: str) -> None:
        super().__init__(f"the plan does not have the form of a plan: {why}")


class EmptyPlan(PlanError):
    code = "plan.empty"

    def __init__(self) -> None:
        super().__init__("the plan has no task")


class TooManyTasks(PlanError):
    code = "plan.too-many-tasks"

    def __init__(self, count: int, limit: int) -> None:
        self.count, self.limit = count, limit
        super().__init__(f"the plan has {count} tasks, the limit is {limit}; split the request")


class BadTaskId(PlanError):
    code = "plan.bad-task-id"

    def __init__(self, task: str) -> None:
        self.task = task
        super().__init__(f"task id {task!r} must be 1 to 64 letters, digits, '_' or '-'")


class DuplicateTask(PlanError):
    code = "plan.duplicate-task"

    def __init__(self, task: str) -> None:
        self.task = task
        super().__init__(f"two tasks have the id {task!r}; give each its own")


class UnknownCapability(PlanError):
    code = "plan.unknown-capability"

    def __init__(self, task: str, capability: str, nearest: tuple[str, ...] = ()) -> None:
        self.task, self.capability, self.nearest = task, capability, nearest
        hint = f"; nearest: {', '.join(nearest)}" if nearest else ""
        super().__init__(
            f"task {task!r} asks for {capability!r}, which is not in the catalog{hint}"
        )


class UnknownRef(PlanError):
    code = "plan.unknown-ref"

    def __init__(self, task: str, ref: str) -> None:
        self.task, self.ref = task, ref
        super().__init__(f"task {task!r} reads {ref!r}, which no task writes; fix the reference")


class BadRefPath(PlanError):
    """A reference whose path does not exist in the value it points into."""

    code = "plan.bad-ref-path"

    def __init__(self, ref: str, path: str, why: str) -> None:
        self.ref, self.path = ref, path
        super().__init__(f"path {path!r} leads nowhere in the result of {ref!r}: {why}")


class CyclicPlan(PlanError):
    code = "plan.cycle"

    def __init__(self, cycle: tuple[str, ...]) -> None:
        self.cycle = cycle
        super().__init__(f"tasks wait for each other: {' -> '.join(cycle)}")


class MissingArgument(PlanError):
    code = "plan.missing-argument"

    def __init__(self, task: str, capability: str, argument: str) -> None:
        self.task, self.capability, self.argument = task, capability, argument
        super().__init__(f"task {task!r}: {capability} needs {argument!r}, which is not given")


class UnexpectedArgument(PlanError):
    code = "plan.unexpected-argument"

    def __init__(self, task: str, capability: str, argument: str) -> None:
        self.task, self.capability, self.argument = task, capability, argument
        super().__init__(f"task {task!r}: {capability} takes no argument {argument!r}")


class IllTypedArgument(PlanError):
    code = "plan.ill-typed-argument"

    def __init__(self, task: str, argument: str, why: str) -> None:
        self.task, self.argument = task, argument
        super().__init__(f"task {task!r}: argument {argument!r}: {why}")


class ItemOutsideLoop(PlanError):
    code = "plan.item-outside-loop"

    def __init__(self, task: str) -> None:
        self.task = task
        super().__init__(f"task {task!r} reads the current item but has no for_each")


class LoopTooLong(PlanError):
    code = "plan.loop-too-long"

    def __init__(self, task: str, count: int, limit: int) -> None:
        self.task, self.count, self.limit = task, count, limit
        super().__init__(f"task {task!r} would loop over {count} items, its limit is {limit}")


class UnknownAnswer(PlanError):
    code = "plan.unknown-answer"

    def __init__(self, task: str) -> None:
        self.task = task
        super().__init__(f"the answer is to come from {task!r}, which is not a task of the plan")


class BadActionPlan(PlanError):
    """An expected action plan that is not well formed. `where`: its place, as "steps/2/any_of"."""

    code = "plan.bad-action-plan"

    def __init__(self, where: str, why: str) -> None:
        self.where, self.why = where, why
        super().__init__(f"expected actions, at {where or 'the top'}: {why}")


class OutsideWorkflow(PlanError):
    """A task that the workflow of the run does not allow."""

    code = "plan.outside-workflow"

    def __init__(self, task: str, workflow: str, why: str) -> None:
        self.task, self.workflow = task, workflow
        super().__init__(f"task {task!r} is refused by workflow {workflow!r}: {why}")


class RouterError(PointsmanError):
    code = "router"
    fault: ClassVar[Fault] = "caller"


class BadRouterModel(RouterError):
    code = "router.bad-model"

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path!r} holds no router weights: {why}; fit them again")


class BadGolden(RouterError):
    code = "router.bad-golden"

    def __init__(self, path: str, line: int, why: str) -> None:
        super().__init__(f"{path!r}, line {line}: {why}")


class RoutesChanged(RouterError):
    """Requests that were routed right are not any more, beyond the limit; the message says how many, and where."""

    code = "router.routes-changed"

    def __init__(self, flips: int, right: int, limit: float, worst: str) -> None:
        share = flips / right if right else 0.0
        super().__init__(
            f"{flips} of {right} requests that were routed right would be routed wrong ({share:.1%}, the "
            f"limit is {limit:.1%}), most of them in {worst!r}; pin it to the old version, or mend the change"
        )


class IndexDamaged(RouterError):
    """Files of the index of capabilities are not what was written; build it again from the catalog."""

    code = "router.index-damaged"

    def __init__(self, folder: str, why: str) -> None:
        self.folder, self.why = folder, why
        super().__init__(f"the index in {folder!r} is damaged ({why}); build it again")


class IndexInUse(RouterError):
    code = "router.index-in-use"

    def __init__(self, folder: str) -> None:
        self.folder = folder
        super().__init__(
            f"the index in {folder!r} is open in another process; close it there first"
        )


class BadEntry(RouterError):
    code = "router.bad-entry"
    fault: ClassVar[Fault] = "caller"

    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = name, why
        super().__init__(f"{name!r} cannot be put into the index: {why}")


class CatalogError(PointsmanError):
    code = "catalog"
    fault: ClassVar[Fault] = "caller"


class BadCapability(CatalogError):
    code = "catalog.bad-capability"

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        super().__init__(f"capability {name!r}: {why}")


class DuplicateCapability(CatalogError):
    code = "catalog.duplicate-capability"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"capability {name!r} is in the catalog with another description")


class ExpertError(PointsmanError):
    code = "expert"
    fault: ClassVar[Fault] = "expert"
    retryable = True


class BadArguments(ExpertError):
    """The arguments cannot be served; the message is shown to the user, so it says what to do."""

    code = "expert.bad-arguments"
    fault: ClassVar[Fault] = "caller"
    retryable = False
    nothing_done = True


class ExpertFailed(ExpertError):
    code = "expert.failed"


class ExpertTimeout(ExpertError):
    code = "expert.timeout"

    def __init__(self, expert: str, seconds: float) -> None:
        self.expert, self.seconds = expert, seconds
        super().__init__(f"{expert} did not finish within {seconds:.1f} s")


class ExpertOverloaded(ExpertError):
    code = "expert.overloaded"
    nothing_done = True

    def __init__(self, expert: str, retry_after: float) -> None:
        self.expert, self.retry_after = expert, retry_after
        super().__init__(f"{expert} is overloaded; retry after {retry_after:.1f} s")


class ExpertUnavailable(ExpertError):
    """The service behind an expert could not be reached: nothing was asked of it yet."""

    code = "expert.unavailable"
    nothing_done = True


class WorkerLost(ExpertError):
    code = "expert.worker-lost"

    def __init__(self) -> None:
        super().__init__("its worker stopped giving signs of life")


class WorkerStopped(ExpertError):
    code = "expert.worker-stopped"

    def __init__(self) -> None:
        super().__init__("its worker was stopped")


class PoisonTask(ExpertError):
    """A task that takes its workers down with it."""

    code = "expert.poison-task"
    retryable = False

    def __init__(self, workers: int) -> None:
        super().__init__(
            f"{workers} workers were lost while they ran this task; it is not tried again "
            "(see the dead letters, and replay it once the cause is found)"
        )


class EffectUnknown(ExpertError):
    """A `once` effect was begun and its outcome is not known: it is not repeated without a person."""

    code = "expert.effect-unknown"
    retryable = False

    def __init__(self, capability: str, why: str) -> None:
        super().__init__(f"{capability} may or may not have taken effect: {why}")


class NoExpert(ExpertError):
    code = "expert.none"
    retryable = False
    nothing_done = True

    def __init__(self, capability: str, why: str) -> None:
        self.capability = capability
        super().__init__(f"no expert can serve {capability!r} now: {why}")


class AddressRefused(ExpertError):
    code = "expert.address-refused"
    fault: ClassVar[Fault] = "caller"
    retryable = False
    nothing_done = True

    def __init__(self, address: str, why: str) -> None:
        self.address = address
        super().__init__(f"address {address!r} is refused: {why}")


class ApprovalError(PointsmanError):
    code = "approval"
    fault: ClassVar[Fault] = "caller"


class ApprovalDenied(ApprovalError):
    code = "approval.denied"

    def __init__(self, by: str, note: str = "") -> None:
        super().__init__(f"{by or 'a person'} said no" + (f": {note}" if note else ""))


class ApprovalExpired(ApprovalError):
    code = "approval.expired"

    def __init__(self) -> None:
        super().__init__("nobody decided in time; run it again from this task to ask once more")


class ApprovalNotFound(ApprovalError):
    code = "approval.not-found"

    def __init__(self, run: str, approval: str) -> None:
        super().__init__(f"run {run!r} has no approval {approval!r}; list those that are pending")


class ApprovalConflict(ApprovalError):
    """The approval is not what the person saw, or is decided already."""

    code = "approval.conflict"

    def __init__(self, approval: str, why: str) -> None:
        super().__init__(f"approval {approval!r} cannot be decided: {why}")


class WorkspaceError(PointsmanError):
    code = "workspace"


class RunNotFound(WorkspaceError):
    code = "workspace.run-not-found"
    fault: ClassVar[Fault] = "caller"

    def __init__(self, run: str) -> None:
        self.run = run
        super().__init__(f"there is no run {run!r}; it never was, or has expired")


class RunOver(WorkspaceError):
    code = "workspace.run-over"
    fault: ClassVar[Fault] = "caller"

    def __init__(self, run: str, status: str) -> None:
        self.run, self.status = run, status
        super().__init__(f"run {run!r} is over ({status})")


class RunNotOver(WorkspaceError):
    code = "workspace.run-not-over"
    fault: ClassVar[Fault] = "caller"

    def __init__(self, run: str) -> None:
        super().__init__(f"run {run!r} has not ended; wait for it, or stop it first")


class NothingToRerun(WorkspaceError):
    code = "workspace.nothing-to-rerun"
    fault: ClassVar[Fault] = "caller"

    def __init__(self, run: str, why: str) -> None:
        super().__init__(f"run {run!r} cannot be run again like this: {why}")


class StaleAttempt(WorkspaceError):
    """A claim, heartbeat or commit of an attempt that has been superseded."""

    code = "workspace.stale-attempt"

    def __init__(self, task: str, attempt: int, current: str) -> None:
        self.task, self.attempt, self.current = task, attempt, current
        super().__init__(f"attempt {attempt} of task {task!r} is refused: the task is {current}")


class StaleOwner(WorkspaceError):
    code = "workspace.stale-owner"

    def __init__(self, run: str, epoch: int) -> None:
        self.run, self.epoch = run, epoch
        super().__init__(f"run {run!r} has another owner than epoch {epoch}")


class SlotConflict(WorkspaceError):
    code = "workspace.slot-conflict"

    def __init__(self, slot: str, expected: int, found: int) -> None:
        self.slot, self.expected, self.found = slot, expected, found
        super().__init__(f"slot {slot!r} is at version {found}, not {expected}; read it again")


class WorkspaceUnavailable(WorkspaceError):
    code = "workspace.unavailable"
    retryable = True


class OtherLayout(WorkspaceError):
    code = "workspace.other-layout"

    def __init__(self, found: int, ours: int) -> None:
        self.found, self.ours = found, ours
        older = "stop every process on this Redis, take a backup and run `pointsman migrate`"
        newer = "run the release that wrote it, or a later one"
        super().__init__(
            f"what is in Redis has layout {found}, this release works with layout {ours}; "
            f"{older if found < ours else newer}"
        )


class MigrationUnderWay(WorkspaceError):
    code = "workspace.migration-under-way"

    def __init__(self, seconds: int) -> None:
        super().__init__(
            f"another process migrates this Redis; if it was killed, try again after {seconds} s"
        )


class BudgetExceeded(PointsmanError):
    code = "budget.exceeded"
    fault: ClassVar[Fault] = "caller"

    def __init__(self, what: str, needed: float, left: float) -> None:
        self.what, self.needed, self.left = what, needed, left
        super().__init__(f"{what} needed {needed:g}, left in the budget {left:g}; raise the budget")
