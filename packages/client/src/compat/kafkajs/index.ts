/**
 * `tidelog/kafkajs`: kafkajs 2's interface on our client. Programs written for kafkajs move by changing the import;
 * docs/guides/from-kafkajs.md says what is the same and what differs.
 */
import * as all from './exports.ts'

export * from './exports.ts'
/** ES modules import kafkajs, which is CommonJS, as one object. */
export default all
