/** Figures over a growing amount of work, as an SVG that needs nothing but a browser: panels side by side, each with an axis of its own. */

export interface Panel {
  readonly title: string
  /** One for each label; drawn from 0 up. */
  readonly values: readonly number[]
}

const PANEL_WIDTH = 340
const HEIGHT = 240
const PLOT = { left: 56, right: 16, top: 44, bottom: 44 }

/** @param labels What the work grew to, in order; they stand at equal distances, whatever they count. */
export function chart(title: string, unit: string, labels: readonly string[], panels: readonly Panel[]): string {
  const width = PANEL_WIDTH * panels.length
  const drawn = panels.map((panel, index) => `<g transform="translate(${index * PANEL_WIDTH} 0)">${drawPanel(panel, labels, unit)}</g>`)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${HEIGHT}" width="${width}" height="${HEIGHT}" font-family="sans-serif" font-size="11" role="img">
<title>${escaped(title)}</title>
<rect width="100%" height="100%" fill="#ffffff"/>
${drawn.join('\n')}
</svg>
`
}

function drawPanel({ title, values }: Panel, labels: readonly string[], unit: string): string {
  const plotWidth = PANEL_WIDTH - PLOT.left - PLOT.right
  const plotHeight = HEIGHT - PLOT.top - PLOT.bottom
  const top = ceiling(Math.max(...values))
  const x = (index: number) => PLOT.left + (labels.length === 1 ? plotWidth / 2 : (index * plotWidth) / (labels.length - 1))
  const y = (value: number) => PLOT.top + plotHeight * (1 - value / top)
  const grid = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const at = y(top * part).toFixed(1)
    const line = `<line x1="${PLOT.left}" x2="${PANEL_WIDTH - PLOT.right}" y1="${at}" y2="${at}" stroke="#dddddd"/>`
    return `${line}<text x="${PLOT.left - 6}" y="${at}" dy="4" text-anchor="end" fill="#555555">${shortNumber(top * part)}</text>`
  })
  const points = values.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`)
  const dots = points.map((point) => {
    const [cx, cy] = point.split(',')
    return `<circle cx="${cx}" cy="${cy}" r="3" fill="#1f6feb"/>`
  })
  const names = labels.map(
    (label, index) => `<text x="${x(index)}" y="${HEIGHT - 26}" text-anchor="middle" fill="#555555">${escaped(label)}</text>`,
  )
  return [
    `<text x="${PLOT.left}" y="24" font-size="13" fill="#222222">${escaped(title)}</text>`,
    ...grid,
    `<polyline points="${points.join(' ')}" fill="none" stroke="#1f6feb" stroke-width="2"/>`,
    ...dots,
    ...names,
    `<text x="${PLOT.left + plotWidth / 2}" y="${HEIGHT - 8}" text-anchor="middle" fill="#555555">${escaped(unit)}</text>`,
  ].join('')
}

/** The next of 1, 2, 2.5, 5 and 10 times a power of ten. */
function ceiling(value: number): number {
  if (!(value > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value)!
}

function shortNumber(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`
  if (value >= 1e3) return `${Number((value / 1e3).toPrecision(3))}k`
  return String(Number(value.toPrecision(3)))
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
