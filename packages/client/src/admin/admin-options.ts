import { type AdminConfig, type AdminConfigOptions, adminConfig } from '../config/admin-config.ts'
import { checkOptionNames } from '../config/option-names.ts'
import type { Environment } from '../environment.ts'
import type { ConnectionOptions } from '../security/security.ts'

/** Kafka's configurations in camelCase, times in ms, sizes in bytes. `bootstrapServers` is required, or `bootstrapControllers`. */
export interface AdminOptions extends AdminConfigOptions, ConnectionOptions, Environment {}

/** @throws InvalidOptionError that names the option. */
export function resolveAdminOptions(options: AdminOptions): AdminConfig {
  checkOptionNames(adminConfig, options, [])
  return adminConfig.resolve(options)
}
