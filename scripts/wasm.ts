/** Assembles WebAssembly text into the TypeScript files that carry it: `npm run wasm`, after a change to a .wat file. */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import wabt from 'wabt'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { parseWat } = await wabt()

for (const [name, constant] of [
  ['block-decoders', 'blockDecodersWasm'],
  ['lz4-encoder', 'lz4EncoderWasm'],
] as const) {
  const source = `packages/protocol/wasm/${name}.wat`
  const module = parseWat(source, readFileSync(root + source, 'utf8'), { bulk_memory: true })
  const base64 = Buffer.from(module.toBinary({}).buffer).toString('base64')
  const lines = base64.match(/.{1,120}/g)!.map((line) => `  '${line}',`)
  writeFileSync(
    `${root}packages/protocol/src/compression/${name}-wasm.ts`,
    `/** Assembled from ${source} by \`npm run wasm\`; in base64. */\nexport const ${constant} = [\n${lines.join('\n')}\n].join('')\n`,
  )
}
