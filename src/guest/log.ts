/** Where the guest's driver logs to: pino's shape, fields first. */
export interface GuestLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}
