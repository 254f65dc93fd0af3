import type { FileSystem } from '@tidelog/storage'

/** `inner` as it is, and which path each descriptor was opened for, so that a test can let the disk fail below some of them. */
export function trackedPaths(inner: FileSystem): { readonly fs: FileSystem; pathOf(fd: number): string } {
  const paths = new Map<number, string>()
  const fs: FileSystem = {
    ...inner,
    async open(path, mode) {
      const fd = await inner.open(path, mode)
      paths.set(fd, path)
      return fd
    },
  }
  return { fs, pathOf: (fd) => paths.get(fd) ?? '' }
}
