/** Assembles WebAssembly text into the TypeScript file that carries it: `npm run wasm`, after a change to a .wat file. */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import wabt from 'wabt'

const source = 'packages/protocol/wasm/block-decoders.wat'
const target = 'packages/protocol/src/compression/block-decoders-wasm.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const module = (await wabt()).parseWat(source, readFileSync(root + source, 'utf8'), { bulk_memory: true })
const base64 = Buffer.from(module.toBinary({}).buffer).toString('base64')
const lines = base64.match(/.{1,120}/g)!.map((line) => `  '${line}',`)
writeFileSync(
  root + target,
  `/** Assembled from ${source} by \`npm run wasm\`; in base64. */\nexport const blockDecodersWasm = [\n${lines.join('\n')}\n].join('')\n`,
)
