//! The allocator of the C library: what it keeps for later can be given back to the kernel.
#![expect(unsafe_code, reason = "malloc_trim(3) has no wrapper")]

/// Gives back the pages that hold nothing any more.
///
/// Other C libraries than glibc give back by themselves.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer and locks each arena while it looks at it.
    let _given = unsafe { libc::malloc_trim(0) };
}
