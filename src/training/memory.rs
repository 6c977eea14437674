//! Memory for training.

/// Keeps freed memory for the next tensors; for programs that train and do little else.
///
/// Training frees and takes hundreds of megabytes at every step. The C library gives such blocks back to
/// the system, which hands them out again zeroed, page by page: a sixth of a step's time.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: plain settings.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, libc::c_int::MAX);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
    }
}
