//! What the C library does with memory that is freed: large blocks go back to the system, which hands them out
//! again zeroed, page by page.

/// Keeps freed blocks for the next tensors; for programs that train and do little else. Every step of a training
/// frees and takes hundreds of megabytes: a sixth of its time.
pub fn keep_for_training() {
    keep_freed(i32::MAX, false);
}

/// Keeps freed blocks for the next clip, which needs as much again, for every thread alike: getting them anew
/// costs a fifth of a short clip's time.
pub(crate) fn keep_for_clips() {
    ask_for_huge_pages(64 << 20);
    keep_freed(32 << 20, true);
}

/// Has the next `bytes` of memory come in pages of 2 MB where the system can: filling a short clip's memory 4 KB
/// at a time takes longer than its network.
fn ask_for_huge_pages(bytes: usize) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the block is this function's own until it is freed; the advice changes none of its contents. Freed,
    // it is what the pool hands out next.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        let block = libc::malloc(bytes);
        if !block.is_null() {
            let page = 2 << 20;
            let start = block.align_offset(page);
            libc::madvise(block.byte_add(start), bytes - start, libc::MADV_HUGEPAGE);
            libc::free(block);
        }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = bytes;
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
