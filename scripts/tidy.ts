/** `npm run tidy`: the house rules that a machine can see. Prints PATH:LINE and what is wrong; exits with 1 when something is. */

import { checkGuides } from './guides.ts'
import { checkConfigRows, checkReferencePages } from './tidy/config-rows.ts'
import { checkFaultRows, checkLinks, checkPrintedLayers } from './tidy/docs.ts'
import { checkEntryPoints } from './tidy/entry-points.ts'
import { checkHabits, checkHandlers } from './tidy/habits.ts'
import { checkCircles, checkLayers, checkReachable } from './tidy/imports.ts'
import { checkLockFile } from './tidy/lock-file.ts'
import { readSources } from './tidy/sources.ts'

const sources = readSources()
const findings = [
  ...checkLayers(sources),
  ...checkReachable(sources),
  ...checkCircles(sources),
  ...checkHandlers(sources),
  ...checkHabits(sources),
  ...checkConfigRows(sources),
  ...(await checkReferencePages()),
  ...checkLinks(),
  ...checkPrintedLayers(),
  ...checkFaultRows(),
  ...checkLockFile(),
  ...checkEntryPoints(),
  ...checkGuides(),
]
for (const { path, line, message } of findings) process.stdout.write(`${path}:${line} ${message}\n`)
process.stdout.write(findings.length === 0 ? `tidy: ${sources.length} files, nothing to say\n` : `tidy: ${findings.length} findings\n`)
process.exitCode = findings.length === 0 ? 0 : 1
