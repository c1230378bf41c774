/**
 * Everything that is counted and measured. No label has a value that a client chooses: each is one of a list of ours, or of
 * the configuration. docs/operations.md has the same table, and a test compares them.
 */
import { Counter, type CounterConfiguration, Gauge, type GaugeConfiguration, Histogram, Registry } from 'prom-client'

/** Seconds: from a key exchange on one machine to an image that is pulled first. */
const LATENCY_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

export type Meters = ReturnType<typeof createMeters>

export function createMeters() {
  const registry = new Registry()
  const registers = [registry]

  const counter = <L extends string>(name: `${string}_total`, help: string, ...labelNames: L[]): Counter<L> =>
    new Counter<L>({ name, help, labelNames, registers } satisfies CounterConfiguration<L>)
  const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]): Gauge<L> =>
    new Gauge<L>({ name, help, labelNames, registers } satisfies GaugeConfiguration<L>)
  const latency = <L extends string>(name: `${string}_duration_seconds`, help: string, ...labelNames: L[]) =>
    new Histogram<L>({ name, help, labelNames, registers, buckets: LATENCY_BUCKETS })

  return {
    registry,
    build: gauge('hatchway_build_info', 'Always 1; its labels say what runs.', 'version', 'node'),

    connections: gauge('hatchway_connections', 'SSH connections that are open: before and after their login.', 'state'),
    connectionsTotal: counter('hatchway_connections_opened_total', 'SSH connections that began.'),
    drops: counter('hatchway_connection_drops_total', 'Connections that were closed before SSH began.', 'reason'),
    penalties: counter('hatchway_penalties_total', 'What sources did that counts towards a penalty.', 'reason'),
    logins: counter('hatchway_logins_total', 'Logins, by the method that completed them.', 'method'),
    loginRefusals: counter(
      'hatchway_login_refusals_total',
      'Attempts to log in that were refused. A client with several keys has several.',
      ...(['method', 'reason'] as const),
    ),
    loginDuration: latency(
      'hatchway_login_duration_seconds',
      'From the beginning of a connection to its login, with the time that a person takes to type a password.',
      'method',
    ),

    sessions: gauge('hatchway_sessions', 'Sessions whose program runs.', 'kind', 'engine', 'road'),
    sessionsTotal: counter(
      'hatchway_sessions_started_total',
      'Sessions whose program was started.',
      'kind',
      'engine',
      'road',
    ),
    sessionFailures: counter(
      'hatchway_session_failures_total',
      'Sessions that were refused, or that ended otherwise than by their program (docs/errors.md).',
      'code',
    ),
    resolveDuration: latency(
      'hatchway_resolve_duration_seconds',
      'From the request for a session until its container and user are found, permitted and running.',
      'kind',
    ),
    firstByteDuration: latency(
      'hatchway_first_byte_duration_seconds',
      'From the request for a session to the first byte that its program wrote.',
      ...(['kind', 'road'] as const),
    ),

    forwards: gauge(
      'hatchway_forwards',
      'Forwarded connections that are open.',
      ...(['kind', 'engine', 'road'] as const),
    ),
    forwardsTotal: counter(
      'hatchway_forwards_opened_total',
      'Forwarded connections that were opened.',
      ...(['kind', 'engine', 'road'] as const),
    ),
    forwardFailures: counter('hatchway_forward_failures_total', 'Forwards that could not be had.', 'kind'),
    listeners: gauge('hatchway_listeners', 'Listeners inside containers: -R, agents, displays.', 'kind', 'engine'),
    listenersTotal: counter(
      'hatchway_listeners_opened_total',
      'Listeners that were opened inside containers.',
      'kind',
      'engine',
    ),
    bytes: counter(
      'hatchway_bytes_total',
      'Bytes of sessions and forwards; in is from the client to the container.',
      ...(['carrier', 'direction'] as const),
    ),

    refusals: counter('hatchway_policy_refusals_total', 'Actions that the policy refused.', 'action'),
    withdrawals: counter('hatchway_policy_withdrawals_total', 'What was permitted, and was ended later.', 'action'),
    containerActions: counter('hatchway_container_actions_total', 'What the gateway did to containers.', 'action'),

    engineUp: gauge('hatchway_engine_up', '1 where the engine answered when it was asked last.', 'engine'),
    engineCalls: counter(
      'hatchway_engine_calls_total',
      'Calls of the container engine that have ended. Outcome: ok, aborted, or the code of the failure.',
      ...(['engine', 'call', 'outcome'] as const),
    ),
    engineCallDuration: latency(
      'hatchway_engine_call_duration_seconds',
      'How long the engine took to answer; of exec until the program was started.',
      ...(['engine', 'call'] as const),
    ),
    engineCallsOpen: gauge('hatchway_engine_calls_in_flight', 'Calls that the engine has not answered yet.', 'engine'),

    helpers: gauge('hatchway_helpers', 'Guest helpers that live.'),
    deliveryDuration: latency(
      'hatchway_helper_delivery_duration_seconds',
      'How long a guest helper took to get into a container, by the way it got in; none: the plain road was left.',
      'way',
    ),
    queues: gauge('hatchway_queue_length', 'What waits for its turn.', 'queue'),

    auditWaiting: gauge('hatchway_audit_waiting_bytes', 'Of the audit trail, what is not written yet.'),
    auditLost: counter(
      'hatchway_audit_lost_records_total',
      'Records that the audit trail has not, since more came than could be written.',
    ),

    ready: gauge('hatchway_ready', '1 where the check of /readyz passes, as it was found last.', 'check'),
    draining: gauge(
      'hatchway_draining',
      '1 once the gateway was told to stop; after a drain or restart it is not scraped any more.',
    ),
    reloaded: gauge(
      'hatchway_config_last_reload_successful',
      '0 while the configuration that was read last cannot be used, and the one before it is in force.',
    ),
    faults: counter('hatchway_faults_total', 'Faults of the gateway itself: each has a line in the log.'),

    process: {
      cpu: counter('process_cpu_seconds_total', 'CPU time of the gateway.'),
      start: gauge('process_start_time_seconds', 'When the process began, since the epoch.'),
      memory: gauge('process_resident_memory_bytes', 'Memory that the process has.'),
      descriptors: gauge('process_open_fds', 'Open file descriptors.'),
      maxDescriptors: gauge('process_max_fds', 'How many file descriptors the process may have.'),
      heap: gauge('nodejs_heap_size_used_bytes', 'Memory of the JavaScript heap in use.'),
      external: gauge('nodejs_external_memory_bytes', 'Memory of buffers, outside the heap.'),
      lag50: gauge('nodejs_eventloop_lag_p50_seconds', 'Delay of the event loop since the last scrape, the median.'),
      lag99: gauge('nodejs_eventloop_lag_p99_seconds', 'The same, of 99 in 100 turns.'),
      lagMax: gauge('nodejs_eventloop_lag_max_seconds', 'The longest delay since the last scrape.'),
      busy: counter(
        'hatchway_event_loop_busy_seconds_total',
        'Time in which the one thread that serves everybody computed; its rate is 1 where it always does.',
      ),
    },
  }
}
