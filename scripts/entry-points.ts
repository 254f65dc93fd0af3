/**
 * What users can import: the subpaths of the published package, and the file (ROOM/path below src) that each opens. package.json repeats it
 * for Node; `npm run tidy` checks that both say the same.
 */
export const entryPoints = {
  '.': 'tidelog/index',
  './kafkajs': 'client/compat/kafkajs/index',
  './schema-registry': 'client/registry/schema-registry',
  './serdes/avro': 'client/serde/avro',
  './serdes/json-schema': 'client/serde/json-schema',
  './serdes/msgpack': 'client/serde/msgpack',
  './serdes/protobuf': 'client/serde/protobuf',
} as const satisfies Record<string, string>

/** Path below dist/, without its ending, of the file that a subpath opens. */
export const distName = (subpath: string): string => (subpath === '.' ? 'index' : subpath.slice(2))

/** Path from the root of the declarations of an entry's file. */
export const declarationsOf = (file: string): string => `./dist/types/${file}.d.ts`
