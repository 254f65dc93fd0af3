import { oauthRows } from './oauth-rows.ts'
import { securityRows } from './security-rows.ts'
import { tlsRows } from './tls-rows.ts'

/** Configurations that hold secrets, name files, addresses or classes of security, or make values be looked up. */
export const securityConfigs: ReadonlySet<string> = new Set([
  ...Object.keys(oauthRows),
  ...Object.keys(securityRows),
  ...Object.keys(tlsRows),
  'config.providers',
])
