{
  "targets": [
    {
      "target_name": "netlink",
      "sources": [
        "addon.cc",
        "arguments.cc",
        "descriptor.cc",
        "environment.cc",
        "namespace.cc",
        "receive_buffers.cc",
        "socket.cc"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": [
        "NAPI_VERSION=9",
        "NAPI_DISABLE_CPP_EXCEPTIONS",
        "NODE_ADDON_API_DISABLE_DEPRECATED",
        # Throwing in a worker that is being terminated fails; without this that aborts the process.
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
      ],
      "cflags_cc": ["-std=c++17", "-Wall", "-Wextra", "-fvisibility=hidden"]
    }
  ]
}
