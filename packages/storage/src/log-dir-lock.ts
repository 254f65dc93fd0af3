import { closeSync, openSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { LogDirRefusedError } from './meta-properties.ts'

/*
 * .lock in a log dir: an empty file that whoever works in the directory holds locked, Apache Kafka too. The lock is the kernel's (fcntl), tied to our
 * open file: it excludes other processes, Java's FileChannel.lock among them, and other brokers of this process, and goes when the process does. The file
 * itself stays and means nothing. See docs/decisions.
 */
const FILE_NAME = '.lock'

/** The package is CommonJS and has no types of its own. */
const { tryLock, unlock } = createRequire(import.meta.url)('fs-native-extensions') as {
  /** Takes an exclusive advisory lock on the whole file; false when another open file has one. Throws Node's error otherwise. */
  tryLock(fd: number): boolean
  unlock(fd: number): void
}

export interface LogDirLock {
  release(): void
}

/** @throws LogDirRefusedError when somebody else works in the directory. */
export function lockLogDir(dir: string): LogDirLock {
  const path = join(dir, FILE_NAME)
  const fd = openSync(path, 'a+')
  let isHeld = false
  try {
    isHeld = tryLock(fd)
  } finally {
    if (!isHeld) closeSync(fd)
  }
  if (!isHeld) throw new LogDirRefusedError(`${dir} is in use: another broker, Tidelog or Apache Kafka, holds the lock on ${path}`)
  return {
    release() {
      if (!isHeld) return
      isHeld = false
      unlock(fd)
      closeSync(fd)
    },
  }
}
