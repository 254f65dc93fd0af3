import type { DefinedHandler } from '../define-handler.ts'

/**
 * Every API this broker serves, in order of key: ApiVersions announces exactly these. To serve one more, add its handler here, its file as
 * `NN-kebab-name.ts` beside this one, and its test.
 */
export const handlers: readonly DefinedHandler[] = []
