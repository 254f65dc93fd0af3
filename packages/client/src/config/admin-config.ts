import { boolean, type ConfigOf, type ConfigTable, int, list, long } from '@tidelog/core'
import { InvalidOptionError } from '../errors.ts'
import { ClientConfig, commonRows, type OptionsOf } from './client-config.ts'

export const adminRows = {
  ...commonRows,
  'bootstrap.controllers': list({
    default: [],
    importance: 'high',
    doc: "host:port of some of KRaft's controllers, to talk to them instead of brokers: for what they serve, while no broker does (KIP-919).",
  }),
  // Sooner than the other clients: between two calls there may be hours.
  'connections.max.idle.ms': long({
    default: 300_000,
    unit: 'ms',
    importance: 'medium',
    doc: 'A connection unused for this long is closed.',
  }),
  // Few admin clients live long enough to be worth watching.
  'enable.metrics.push': boolean({ ...commonRows['enable.metrics.push'], default: false }),
  'default.api.timeout.ms': int({
    default: 60_000,
    min: 0,
    unit: 'ms',
    importance: 'medium',
    doc: 'Limit of a call, its retries included.',
  }),
  retries: int({ default: 2_147_483_647, min: 0, max: 2_147_483_647, importance: 'low', doc: 'How often a failed request is sent again.' }),
} as const

export const adminConfig = new ClientConfig(adminRows)
export type AdminConfig = ConfigOf<ConfigTable<typeof adminRows>>
export type AdminConfigOptions = OptionsOf<typeof adminRows>

/** The controllers to talk to instead of brokers; undefined: to brokers. @throws InvalidOptionError when both are named */
export function bootstrapControllersOf(config: AdminConfig): readonly string[] | undefined {
  const controllers = config['bootstrap.controllers']
  if (controllers.length === 0) return undefined
  if (config['bootstrap.servers'].length > 0) throw new InvalidOptionError('bootstrapServers and bootstrapControllers do not go together')
  return controllers
}
