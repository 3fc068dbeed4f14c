#!/bin/sh
# Counters of SAs for node_exporter's textfile collector, from `ip -s xfrm state`: what many hosts
# have today, run by a timer. A contestant of the benchmark (bench/scrapers.ts).
#
#   ip-xfrm.sh FILE
set -eu
ip -s xfrm state | awk '
  BEGIN {
    print "# TYPE ipsec_sa_bytes_total counter"
    print "# TYPE ipsec_sa_packets_total counter"
    print "# TYPE ipsec_sa_failed_total counter"
  }
  /^src / { ends = sprintf("src=\"%s\",dst=\"%s\"", $2, $4) }
  /^\tproto / {
    split($4, spi, "(")
    split($6, reqid, "(")
    labels = sprintf("{%s,proto=\"%s\",spi=\"%s\",reqid=\"%s\"}", ends, $2, spi[1], reqid[1])
  }
  /^\tlifetime current:/ {
    getline
    split($1, bytes, "(")
    split($2, packets, "(")
    printf "ipsec_sa_bytes_total%s %s\n", labels, bytes[1]
    printf "ipsec_sa_packets_total%s %s\n", labels, packets[1]
  }
  /^\tstats:/ {
    getline
    printf "ipsec_sa_failed_total%s %s\n", labels, $6
  }
' > "$1.new"
mv "$1.new" "$1"
