//! What the C library does with memory that is freed: large blocks go back to the system, which hands them out
//! again zeroed, page by page.

/// Keeps freed blocks for the next tensors; for programs that train and do little else. Every step of a training
/// frees and takes hundreds of megabytes: a sixth of its time.
pub fn keep_for_training() {
    keep_freed(i32::MAX, false);
}

/// Keeps freed blocks for the next clip, which needs as much again, for every thread alike: getting them anew
/// costs a fifth of a short clip's time.
pub fn keep_for_clips() {
    keep_freed(32 << 20, true);
}

/// Blocks of up to `largest` bytes; with `one_pool`, each thread finds what another has freed.
fn keep_freed(largest: i32, one_pool: bool) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: plain settings.
    unsafe {
        if one_pool {
            libc::mallopt(libc::M_ARENA_MAX, 1);
        }
        libc::mallopt(libc::M_MMAP_THRESHOLD, largest);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = (largest, one_pool);
}
