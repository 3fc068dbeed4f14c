/** What people mean by commands that do not exist. @module */

/** By the command that is meant, with its arguments: words for it, from other tools and daily speech. */
const WORDS: Readonly<Record<string, string>> = {
  tunnels: 'list ls ps show status statusall tunnel conn connections peers summary',
  'tunnels --watch': 'top live dashboard',
  state: 'list ls show sa sas sad states list-sas',
  policy: 'list ls show policies spd list-pols',
  monitor: 'watch follow tail listen events log logs observe',
  'monitor --tunnels': 'changes',
  'wait --for up': 'up ready until',
  'wait --for down': 'down',
  serve: 'daemon server exporter metrics prometheus web http api',
  check: 'health healthcheck nagios icinga',
  stat: 'stats statistics counters errors drops xfrm_stat',
  record: 'capture tcpdump save',
  replay: 'decode read play pcap dump open file',
  timeline: 'history story',
  why: 'trace explain lookup packet flow',
  doctor: 'diagnose diagnosis debug troubleshoot verify support capabilities info',
  probe: 'features',
  lab: 'vm qemu run exec shell',
  demo: 'example tutorial try',
  completion: 'completions autocomplete bash zsh fish',
};

/** What changes the kernel's tables in `ip xfrm` and elsewhere. */
const CHANGES = 'add update replace set delete del remove flush allocspi rekey initiate terminate';

/** What `ip` shows of other things. */
const OTHERS = 'route routes link links addr address addresses neigh neighbour rule rules';

const has = (words: string, word: string) => words.split(' ').includes(word);

/** Says what was meant, as far as there is such a command; undefined if nothing is known. */
export function meaningOf(word: string, commands: readonly string[]): string | undefined {
  const said = word.toLowerCase();
  if (has(CHANGES, said)) {
    return '(netlink-xfrm only shows; `ip xfrm` changes SAs and policies, an IKE daemon tunnels)';
  }
  if (has(OTHERS, said)) {
    return `(netlink-xfrm shows IPsec only, \`ip ${said}\` the rest; \`netlink-xfrm why\` says where a packet goes)`;
  }
  const found = Object.keys(WORDS).filter(
    (command) => commands.includes(command.split(' ')[0] ?? '') && has(WORDS[command] ?? '', said),
  );
  return found.length === 0 ? undefined : `(Did you mean ${found.join(', or ')}?)`;
}
