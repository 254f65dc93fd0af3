import { text, UsageError } from './option-table.ts'

/** `--output`, which every tool that prints rows has besides Kafka's own text. */
export const outputOption = {
  output: text("table: as Kafka's tool prints it. json: an array of objects. csv: a header and a line a row.", { value: 'table|json|csv' }),
}

export type OutputFormat = 'table' | 'json' | 'csv'

/** @throws UsageError for anything else than the three. */
export function outputFormat(value: string | undefined): OutputFormat {
  if (value === undefined || value === 'table' || value === 'json' || value === 'csv') return value ?? 'table'
  throw new UsageError(`--output takes table, json or csv, not '${value}'`)
}

export type Cell = string | number | boolean | null | readonly (string | number)[] | Readonly<Record<string, string>>

/** Rows for machines. Every row has the columns of the first; null is what Kafka's tables show as `-`. */
export function renderRows(rows: readonly Readonly<Record<string, Cell>>[], columns: readonly string[], format: 'json' | 'csv'): string {
  if (format === 'json') return `${JSON.stringify(rows)}\n`
  const lines = rows.map((row) => columns.map((column) => csvCell(row[column] ?? null)).join(','))
  return `${[columns.join(','), ...lines].join('\n')}\n`
}

function csvCell(cell: Cell): string {
  if (cell === null) return ''
  const written = Array.isArray(cell) ? cell.join(' ') : typeof cell === 'object' ? JSON.stringify(cell) : String(cell)
  return /[",\n\r]/.test(written) ? `"${written.replaceAll('"', '""')}"` : written
}

/** A table as Kafka's older tools print it: columns as wide as their longest cell, each followed by a TAB. Source: ToolsUtils.prettyPrintTable. */
export function tabbedTable(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const lines = [header, ...rows].map((cells) => cells.map(String))
  const widths = header.map((_, column) => lines.reduce((width, cells) => Math.max(width, cells[column]!.length), 0))
  return lines.map((cells) => `${cells.map((cell, column) => `${cell.padEnd(widths[column]!)}\t`).join('')}\n`).join('')
}

/** A row of left-justified columns, each `widths[i]` wide and followed by a blank; a width of 0 is a last column without padding. */
export function padded(cells: readonly (string | number)[], widths: readonly number[]): string {
  return cells.map((cell, i) => String(cell).padEnd(widths[i] ?? 0)).join(' ')
}
