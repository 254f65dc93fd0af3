/**
 * Reads the declarations that the compiler wrote (*.d.ts): what is declared, with its doc comment. TypeScript 7 has no API to ask; what
 * its declarations look like is regular enough to be read as text.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { root } from './tidy/sources.ts'

export interface Declaration {
  readonly name: string
  readonly kind: 'class' | 'interface' | 'type' | 'const' | 'function'
  /** Up to its body, without `export declare`. */
  readonly head: string
  readonly doc: string
  /** Of a class or interface, those that users see. */
  readonly members: readonly Member[]
  /** The declaration's file, from the root. */
  readonly path: string
}

export interface Member {
  readonly signature: string
  readonly doc: string
}

interface Statement {
  readonly text: string
  readonly doc: string
}

/** Comments and strings are passed over whole; the rest is looked at character by character. */
const token = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[\s\S])*`|=>|[\s\S]/g

/** Splits at each `;` outside of brackets, and behind the body of a class, interface or function. */
function statementsOf(code: string): Statement[] {
  const statements: Statement[] = []
  let text = ''
  let doc = ''
  let depth = 0
  const end = () => {
    if (text.trim() !== '') statements.push({ text: text.trim(), doc })
    text = ''
    doc = ''
  }
  for (const [part] of code.matchAll(token)) {
    if (part.startsWith('/**') && depth === 0 && text.trim() === '') doc = docText(part)
    else if ((part.startsWith('//') || part.startsWith('/*')) && depth === 0) continue
    else if (part === ';' && depth === 0) end()
    else {
      text += part
      if ('{([<'.includes(part)) depth++
      if ('})]>'.includes(part)) depth--
      if (part === '}' && depth === 0 && /^(?:export )?(?:declare )?(?:abstract )?(?:class|interface)\b/.test(text.trim())) end()
    }
  }
  end()
  return statements
}

const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, '')

/** A comment's text in one line a paragraph. */
function docText(comment: string): string {
  return comment
    .slice(3, -2)
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trimEnd())
    .join('\n')
    .trim()
}

const declared = /^export (?:declare )?(?:abstract )?(class|interface|type|const|function) (\w+)/

function declarationOf({ text, doc }: Statement, path: string): Declaration | undefined {
  const match = declared.exec(text)
  if (match === null) return undefined
  const kind = match[1] as Declaration['kind']
  const name = match[2]!
  const whole = withoutComments(text)
    .replace(/^export (?:declare )?/, '')
    .replace(/\s+/g, ' ')
  if (kind !== 'class' && kind !== 'interface') return { name, kind, head: whole, doc, members: [], path }
  // The body is the last pair of braces: type parameters and bases may have braces, too.
  const firstMember = text.indexOf('\n    ')
  const bodyStart = firstMember < 0 ? text.lastIndexOf(' {') : text.lastIndexOf(' {\n', firstMember)
  const members = statementsOf(text.slice(bodyStart + 2, text.lastIndexOf('}')))
    .map(({ text: member, doc: memberDoc }) => ({ signature: withoutComments(member).replace(/\s+/g, ' '), doc: memberDoc }))
    .filter(({ signature, doc: memberDoc }) => !/^(?:private|protected|#)/.test(signature) && !memberDoc.includes('@internal'))
  return {
    name,
    kind,
    head: text
      .slice(0, bodyStart)
      .replace(/^export (?:declare )?/, '')
      .replace(/\s+/g, ' '),
    doc,
    members,
    path,
  }
}

/** With the values of what is a list's or a table's, and names without the file that they come from. */
function spelledOut(code: string): string {
  const valuesOf = (name: string): string | undefined => {
    const list = new RegExp(`^declare const ${name}: readonly \\[([^\\]]*)\\];`, 'm').exec(code)?.[1]
    if (list !== undefined) return list.split(/,\s*/).join(' | ')
    const table = new RegExp(`^declare const ${name}: \\{\\n([\\s\\S]*?)^\\};`, 'm').exec(code)?.[1]
    return table
      ?.match(/^ {4}readonly ('[^']+'|\w+)(?=:)/gm)
      ?.map((row) => row.replace(/^ {4}readonly (\w+)$/, "'$1'").replace(/^ {4}readonly /, ''))
      .join(' | ')
  }
  const files = [...code.matchAll(/^import (?:type )?\* as (\w+) from '\./gm)].map(([, name]) => name)
  return code
    .replace(/\(typeof (\w+)\)\[number\]|keyof typeof (\w+)/g, (whole, list, table) => valuesOf(list ?? table) ?? whole)
    .replace(files.length === 0 ? /$^/ : new RegExp(`(?<![.\\w])(?:${files.join('|')})\\.(?=[A-Z])`, 'g'), '')
}

const cache = new Map<string, { readonly own: readonly Declaration[]; readonly code: string }>()

function fileOf(path: string): { readonly own: readonly Declaration[]; readonly code: string } {
  let file = cache.get(path)
  if (file === undefined) {
    const code = spelledOut(readFileSync(join(root, path), 'utf8'))
    file = { code, own: statementsOf(code).flatMap((statement) => declarationOf(statement, path) ?? []) }
    cache.set(path, file)
  }
  return file
}

/** Everything that a file exports, its own and what it re-exports, in their order; the same name twice once. */
export function exportsOf(path: string): Map<string, Declaration> {
  const { own, code } = fileOf(path)
  const found = new Map(own.map((declaration) => [declaration.name, declaration]))
  for (const [, type, names, star, from] of code.matchAll(/^export (type )?(?:\{([^}]*)\}|(\*)) from '([^']+)';$/gm)) {
    const target = pathOf(from!, path)
    if (target === undefined) continue
    // What can be called is not exported with the types.
    const exported = new Map(
      [...exportsOf(target)].filter(([, { kind }]) => type === undefined || (kind !== 'function' && kind !== 'const')),
    )
    if (star !== undefined) for (const [name, declaration] of exported) found.set(name, declaration)
    for (const item of names?.split(',') ?? []) {
      const [name = '', alias = name] = item
        .trim()
        .replace(/^type /, '')
        .split(' as ')
      const declaration = exported.get(name)
      if (declaration !== undefined) found.set(alias, { ...declaration, name: alias, head: declaration.head.replace(name, alias) })
    }
  }
  return found
}

function pathOf(from: string, path: string): string | undefined {
  const room = /^@tidelog\/([a-z]+)$/.exec(from)?.[1]
  const found =
    room === undefined
      ? resolve(root, dirname(path), from.replace(/\.ts$/, '.d.ts')).slice(root.length)
      : `packages/${room}/dist/index.d.ts`
  return (from.startsWith('.') || room !== undefined) && existsSync(join(root, found)) ? found.replace(/^\//, '') : undefined
}
