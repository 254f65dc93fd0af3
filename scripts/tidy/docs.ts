import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { untestedRows } from '../fault-rows.ts'
import { layers } from '../layers.ts'
import { type Finding, lineAt, root } from './sources.ts'

/** Links between our own pages lead somewhere: the file is there, and so is the heading. */
export function checkLinks(): Finding[] {
  return pages().flatMap((path) => {
    const text = withoutCode(readFileSync(join(root, path), 'utf8'))
    return [...text.matchAll(/\[[^\]]*\]\(([^)\s]+)\)/g)].flatMap((match) => {
      const target = match[1] as string
      const line = lineAt(text, match.index)
      if (/^[a-z]+:/.test(target)) return []
      const [file = '', anchor] = target.split('#')
      const full = file === '' ? join(root, path) : join(root, dirname(path), file)
      if (!existsSync(full)) return [{ path, line, message: `dead link: ${target}` }]
      if (anchor && full.endsWith('.md') && !anchors(full).has(anchor)) return [{ path, line, message: `no such heading: ${target}` }]
      return []
    })
  })
}

/** Every row of faults that is due has a test that names it. */
export function checkFaultRows(): Finding[] {
  return untestedRows().map((id) => ({ path: 'scripts/fault-rows.ts', line: 1, message: `no test's name begins with ${id}` }))
}

/** ARCHITECTURE.md prints scripts/layers.ts as a table; the table must say what the file says. */
export function checkPrintedLayers(): Finding[] {
  const path = 'ARCHITECTURE.md'
  const text = existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : ''
  return Object.entries(layers as Record<string, readonly string[]>)
    .map(([room, below]) => `| ${room} | ${below.length === 0 ? '—' : below.join(', ')} |`)
    .filter((row) => !text.includes(row))
    .map((row) => ({ path, line: 1, message: `the layers of scripts/layers.ts differ here; expected the row ${row}` }))
}

function pages(): string[] {
  const top = readdirSync(root).filter((name) => name.endsWith('.md'))
  const docs = existsSync(join(root, 'docs')) ? readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }) : []
  return [
    ...top,
    ...docs
      .filter((name) => name.endsWith('.md'))
      .map((name) =>
        relative(root, join(root, 'docs', name))
          .split(sep)
          .join('/'),
      ),
  ]
}

function withoutCode(text: string): string {
  return text
    .replace(/^```[\s\S]*?^```/gm, (block) => block.replace(/[^\n]/g, ' '))
    .replace(/`[^`\n]*`/g, (code) => ' '.repeat(code.length))
}

/** GitHub's anchor of each heading. */
function anchors(path: string): Set<string> {
  const headings = readFileSync(path, 'utf8').matchAll(/^#+\s+(.*)$/gm)
  return new Set(
    [...headings].map(([, heading = '']) =>
      heading
        .trim()
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/\s/g, '-'),
    ),
  )
}
