//! The nouns that cross rooms: what was seen, what is wanted and why, what to do, what came of it.
//!
//! Types only, with the laws that belong to one value (a knob renders and parses its kernel text). Nothing here decides and
//! nothing here touches the kernel.

mod action;
mod alert;
mod along;
mod component;
mod decision;
mod event;
mod filesystem;
mod finding;
mod forecast;
mod growth;
mod health;
mod hook;
mod instances;
mod knob;
mod ladder;
mod leak;
mod learnt;
mod mend;
mod outcome;
mod own;
mod pressure;
mod probe;
mod quota;
mod realtime;
mod report;
pub mod slots;
mod snapshot;
mod storage;
mod topology;
mod unknown;

pub use action::{Action, Change, Plan, Via};
pub use alert::{
    AlertBook, AlertKind, AlertMemory, AlertState, AlertView, Evidence, LimitOf, SinkCounts,
};
pub use along::{Along, follow};
pub use component::{CpuClass, Home, HomeKind, Priority};
pub use decision::{Decision, Held, Placement, Reason, Target};
pub use event::{Event, EventOf};
pub use filesystem::{FileSystem, FileSystemView, FillsIn, Room};
pub use finding::{Finding, FindingKind, Severity};
pub use forecast::{Expected, Forecast, ForecastModel, ForecastStage, ForecastView, Moment};
pub use growth::{Growth, GrowthView, Reached, Unusual};
pub use health::{Condition, Health};
pub use hook::Hook;
pub use instances::{Instances, JobKind, Template, UnitJob};
pub use knob::{Controller, IoMax, Knob, KnobKind, KnobParseError, Partition, Validity};
pub use ladder::{Hit, LadderView, Means, Radius, Relief, Rung};
pub use leak::{
    Leak, LeakBook, LeakEvidence, LeakLimit, LeakMemories, LeakMemory, LeakPart, LeakTier,
    LeakTierMemory,
};
pub use learnt::{Learnt, LearntChoice, LearntDemand, LearntError, LearntMinute};
pub use mend::{MendBook, MendMemory, MendView, RestartEnd, RestartPlan, Restarted};
pub use outcome::{Outcome, OutcomeOf, Verdict};
pub use own::{ActionCount, Durations, HttpCounts, Own, OwnUse};
pub use pressure::{
    Amounts, Bottleneck, Bound, Cause, ComponentEstimate, Culprit, DiskRate, Each, Estimate,
    HostUse, IoRate, Level, LevelView, Levels, Need, Resource, Wait, Waits,
};
pub use probe::ProbeView;
pub use quota::{Quota, QuotaBook, QuotaKey, QuotaView, Quotas};
pub use realtime::{
    RealtimeSeen, RealtimeView, Sched, SchedPolicy, ThreadLine, ThreadOwner, ThreadTarget,
    ThreadView,
};
pub use report::{
    ActionLine, CeilingView, ComponentReport, Drift, EscapeTimes, Escaped, HomeReport, HookReport,
    HostReport, InstancesView, KnobReport, Report, ScheduleView,
};
pub use snapshot::{
    Disk, GroupView, HostLoad, HostView, IoCount, IoWeightBackend, MemoryEvents, MemoryStat, Psi,
    PsiLine, ReadFault, Reading, Refusal, Snapshot, Stray, Usage,
};
pub use storage::{Retention, Stored, Swept};
pub use topology::{Core, Topology};
pub use unknown::UnknownComponent;
