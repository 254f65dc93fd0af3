import { type ConfigOf, type ConfigTable, int, list, long } from '@tidelog/core'
import { ClientConfig, commonRows, type OptionsOf } from './client-config.ts'

export const adminRows = {
  ...commonRows,
  'bootstrap.controllers': list({
    default: [],
    importance: 'high',
    unused: 'controllers take no clients of their own here; brokers forward',
    doc: 'host:port of some controllers.',
  }),
  // Sooner than the other clients: between two calls there may be hours.
  'connections.max.idle.ms': long({
    default: 300_000,
    unit: 'ms',
    importance: 'medium',
    doc: 'A connection unused for this long is closed.',
  }),
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
