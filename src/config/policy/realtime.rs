//! Which threads of a component run in real time, and what may stand in a thread's name. Touches nothing.

use super::Pattern;

/// What the kernel keeps of a thread's name, in bytes (`TASK_COMM_LEN` less the zero at its end).
pub const THREAD_NAME_BYTES: usize = 15;

/// Which threads run in real time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealtimePolicy {
    /// Names of threads, as globs.
    pub threads: Pattern,
    /// Their real-time priority, 1 to 10.
    pub priority: u8,
}
