/** Which room may import which: a room's imports are these and nothing else. `npm run tidy` checks it. */
export const layers = {
  core: [],
  protocol: ['core'],
  storage: ['core', 'protocol'],
  metadata: ['core', 'protocol'],
  coordinator: ['core', 'protocol'],
  net: ['core', 'protocol'],
  client: ['core', 'protocol', 'net'],
  broker: ['core', 'protocol', 'storage', 'metadata', 'coordinator', 'net'],
  cli: ['core', 'protocol', 'storage', 'metadata', 'coordinator', 'broker', 'client'],
  testkit: ['core', 'protocol', 'net', 'storage', 'metadata', 'coordinator', 'broker', 'client'],
  tidelog: ['broker', 'client', 'cli', 'testkit'],
} as const
