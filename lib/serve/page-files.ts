/** The files of the web page. @module */

export interface PageFile {
  readonly type: string;
  readonly body: string | Uint8Array;
}

const TEXT = `netlink-xfrm serve: the tunnels of this host.

/metrics      for Prometheus
/healthz      whether this program runs
/readyz       whether what it says is right
/api/host     /api/tunnels  /api/states  /api/policies  /api/history  /api/events
`;

/** The file at a path; undefined if there is none. */
export function pageFile(path: string): PageFile | undefined {
  return path === '/' ? { type: 'text/plain; charset=utf-8', body: TEXT } : undefined;
}
