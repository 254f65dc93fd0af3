import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Finding, root } from './sources.ts'

interface LockedPackage {
  readonly resolved?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/**
 * The lock file serves every machine: it names no registry host, and it has the native packages of every platform, without which
 * `npm ci` refuses. (A registry that lacks some of them makes `npm install` leave them out without a word.)
 */
export function checkLockFile(): Finding[] {
  const path = 'package-lock.json'
  const { packages } = JSON.parse(readFileSync(join(root, path), 'utf8')) as { packages: Readonly<Record<string, LockedPackage>> }
  return Object.entries(packages).flatMap(([name, { resolved, optionalDependencies = {} }]) => {
    const messages = Object.keys(optionalDependencies)
      .filter((dependency) => !Object.hasOwn(packages, `node_modules/${dependency}`))
      .map((dependency) => `${dependency} is missing, which ${name} has for another platform; npm ci will refuse`)
    if (resolved?.includes('://')) messages.push(`${name} names the registry it came from: ${resolved}`)
    return messages.map((message) => ({ path, line: 1, message }))
  })
}
