declare module 'fs-native-extensions' {
  /** Takes an exclusive advisory lock on the whole file; false when another open file has one. Throws Node's error otherwise. */
  export function tryLock(fd: number): boolean
  export function unlock(fd: number): void
}
