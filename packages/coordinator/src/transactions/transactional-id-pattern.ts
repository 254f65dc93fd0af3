import { KafkaError } from '@tidelog/protocol'
import { RE2JS, RE2JSException } from 're2js'

/** Tells which transactional ids are meant. */
export interface TransactionalIdPattern {
  matches(transactionalId: string): boolean
}

/** Ids that an expression in RE2's syntax, matched in linear time, describes from end to end. @throws KafkaError INVALID_REGULAR_EXPRESSION. KIP-1152. */
export function transactionalIdPattern(expression: string): TransactionalIdPattern {
  try {
    return RE2JS.compile(expression)
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error
    throw new KafkaError('INVALID_REGULAR_EXPRESSION', `Transactional ID pattern \`${expression}\` is not a valid regular expression`)
  }
}
