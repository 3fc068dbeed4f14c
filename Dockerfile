# An image for `npm test` of this project. It builds, and `npm start` has been run in it; `npm test` has not.
# The images of the command are in containers/ (docs/containers.md).
#
#   docker build -t netlink-xfrm .
#   docker run --rm --cap-add SYS_ADMIN --cap-add NET_ADMIN --cap-add SYS_PTRACE \
#     --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
#     --tmpfs /tmp:exec,size=2g netlink-xfrm
#
# Why: SYS_ADMIN makes the network namespaces of the kernel tests and NET_ADMIN joins XFRM groups in
# them. The lab's kernel traces its processes (ptrace), which Docker's default seccomp profile allows
# on kernels from 4.8 on; it needs an executable /tmp with room for its memory.
FROM node:20-bookworm
RUN apt-get update \
 && apt-get install --yes --no-install-recommends iproute2 python3 make g++ \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /netlink-xfrm
COPY package.json package-lock.json .npmrc ./
COPY scripts scripts
COPY native native
RUN npm ci
COPY . .
RUN npm run build
CMD ["npm", "test"]
