# An image for `npm test` of this project. The images of the command are in containers/. How it was run, and what is
# left out without which option: docs/containers.md, Tests in a container.
#
#   docker build -t netlink-xfrm-tests .
#   docker run --rm --cap-add SYS_ADMIN --cap-add NET_ADMIN --cap-add NET_BROADCAST --cap-add SYS_PTRACE \
#     --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
#     --tmpfs /tmp:exec,size=2g netlink-xfrm-tests
#
# Why: SYS_ADMIN makes the network namespaces of the kernel tests, NET_ADMIN joins XFRM groups in them, and NET_BROADCAST
# hears all namespaces at one socket. The lab's kernel traces its processes (ptrace), which Docker's default seccomp
# profile allows on kernels from 4.8 on. The tests make programs in /tmp, and the lab's memory is there.
# netbase has /etc/protocols, from which ip knows tcp and udp.
FROM node:20-bookworm
RUN apt-get update \
 && apt-get install --yes --no-install-recommends iproute2 netbase python3 make g++ \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /netlink-xfrm
COPY package.json package-lock.json .npmrc ./
COPY scripts scripts
COPY native native
RUN npm ci
COPY . .
RUN npm run build
CMD ["npm", "test"]
