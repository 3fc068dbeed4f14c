
local xfrm = Proto("xfrm", "Linux IPsec (XFRM) over netlink")
xfrm.prefs.keys = Pref.bool("Show keys", false, "Show the bytes of keys in the tree; the bytes of the packet have them anyway")

local fields = {}
local function field(abbr, make)
  local one = fields[abbr]
  if not one then
    one = make()
    fields[abbr] = one
  end
  return one
end

local SIZE = { u8 = 1, u16 = 2, be16 = 2, u32 = 4, s32 = 4, be32 = 4, u64 = 8, be64 = 8 }
local MAKE = {
  u8 = ProtoField.uint8, u16 = ProtoField.uint16, be16 = ProtoField.uint16, u32 = ProtoField.uint32,
  s32 = ProtoField.int32, be32 = ProtoField.uint32, u64 = ProtoField.uint64, be64 = ProtoField.uint64,
}

-- Whether names are of bits: a list of pairs, then.
local function is_flags(names) return names ~= nil and type(names[1]) == "table" end

local function declare(abbr, of)
  local name, kind = of.name, of.type
  if kind == "address" or kind == "ip" then
    of.v4 = field(abbr, function() return ProtoField.ipv4(abbr, name, of.doc) end)
    of.raw = field(abbr .. "_raw", function() return ProtoField.string(abbr .. "_raw", name, base.ASCII, of.doc) end)
    of.v6 = field(abbr .. "6", function() return ProtoField.ipv6(abbr .. "6", name, of.doc) end)
  elseif kind == "name" or kind == "text" then
    of.field = field(abbr, function() return ProtoField.string(abbr, name, base.ASCII, of.doc) end)
  elseif kind == "key" then
    of.field = field(abbr, function() return ProtoField.bytes(abbr, name, base.NONE, "The key") end)
    of.hidden = field(abbr .. "_bits", function()
      return ProtoField.uint32(abbr .. "_bits", name, base.DEC, nil, nil, "Bits of the key, which is not shown")
    end)
  elseif kind == "rest" then
    of.field = field(abbr, function() return ProtoField.bytes(abbr, name, base.NONE, of.doc) end)
  elseif kind == "words" then
    of.field = field(abbr, function() return ProtoField.uint32(abbr, name, base.HEX, nil, nil, of.doc) end)
  elseif kind == "truth" then
    of.field = field(abbr, function() return ProtoField.uint8(abbr, name, base.DEC, { [0] = "no", [1] = "yes" }, nil, of.doc) end)
  elseif kind == "flag" then
    of.field = field(abbr, function() return ProtoField.bool(abbr, name, base.NONE, nil, nil, of.doc) end)
  elseif MAKE[kind] then
    local names = NAMES[of.names]
    local values = names
    if is_flags(names) then values = nil end
    local shown = (of.hex or is_flags(names)) and base.HEX or base.DEC
    of.field = field(abbr, function() return MAKE[kind](abbr, name, shown, values, nil, of.doc) end)
  end
end

for kernel, struct in pairs(STRUCTS) do
  local short = kernel:gsub("^xfrm_", "")
  for _, one in ipairs(struct.fields) do
    if one.type ~= "struct" then declare("xfrm." .. short .. "." .. one.name, one) end
  end
end
for _, space in pairs(SPACES) do
  for _, one in pairs(space) do
    one.short = one.name:gsub("^XFRMA_", "")
    declare("xfrm." .. one.short:lower(), one)
  end
end

local message_names, attribute_names = {}, {}
for number, one in pairs(MESSAGES) do message_names[number] = "XFRM_MSG_" .. one.name end
local f = {
  length = ProtoField.uint32("xfrm.nlmsg_len", "Length", base.DEC),
  type = ProtoField.uint16("xfrm.nlmsg_type", "Type", base.DEC, message_names),
  flags = ProtoField.uint16("xfrm.nlmsg_flags", "Flags", base.HEX),
  seq = ProtoField.uint32("xfrm.nlmsg_seq", "Sequence", base.DEC),
  port = ProtoField.uint32("xfrm.nlmsg_pid", "Port ID", base.DEC),
  message = ProtoField.string("xfrm.message", "Message"),
  word = ProtoField.uint32("xfrm.flags", "Flags", base.HEX),
  attribute = ProtoField.uint16("xfrm.attribute", "Attribute", base.DEC),
  attribute_length = ProtoField.uint16("xfrm.attribute_length", "Attribute length", base.DEC),
  unknown = ProtoField.bytes("xfrm.unknown", "Unknown"),
}
for name, one in pairs(f) do fields["\0" .. name] = one end
local malformed = ProtoExpert.new("xfrm.malformed", "A length is invalid", expert.group.MALFORMED, expert.severity.ERROR)
xfrm.experts = { malformed }

local all = {}
for _, one in pairs(fields) do all[#all + 1] = one end
xfrm.fields = all

local REQUEST, DUMP, MULTI = 1, 0x300, 2
local NLMSG = { [1] = "NLMSG_NOOP", [2] = "NLMSG_ERROR", [3] = "NLMSG_DONE", [4] = "NLMSG_OVERRUN" }
local INET, INET6 = 2, 10

-- What a message holds is in the order of bytes of the host that sent it.
local function reader(little)
  local own = {}
  function own.u8(range) return range:uint() end
  own.u16 = little and function(r) return r:le_uint() end or function(r) return r:uint() end
  own.u32 = own.u16
  own.s32 = little and function(r) return r:le_int() end or function(r) return r:int() end
  own.u64 = little and function(r) return r:le_uint64() end or function(r) return r:uint64() end
  function own.be16(r) return r:uint() end
  own.be32 = own.be16
  function own.be64(r) return r:uint64() end
  function own.add(tree, one, range, kind)
    if little and kind:sub(1, 2) ~= "be" and kind ~= "u8" then return tree:add_le(one, range) end
    return tree:add(one, range)
  end
  return own
end

local function spi_text(spi) return string.format("0x%08x", spi) end

-- What a message is about: the first value of each name outside of templates; of selectors apart.
local function note(state, name, value)
  if not state.listens then return end
  name = state.prefix .. name
  if state.said[name] == nil then state.said[name] = value end
end

local function add_address(tree, of, range, family, state)
  local item
  if family == INET then
    local address = range(0, 4)
    item = tree:add(of.v4, address)
    note(state, of.name, tostring(address:ipv4()))
  elseif family == INET6 then
    local address = range(0, 16)
    item = tree:add(of.v6, address)
    note(state, of.name, tostring(address:ipv6()))
  else
    -- Of no family: all zero for any.
    local text = tostring(range:bytes()):lower()
    if not text:find("[^0]") then text = "any" end
    item = tree:add(of.raw, range, text)
  end
  return item
end

local function add_number(tree, of, range, read, state)
  local value = read[of.type](range)
  local item = read.add(tree, of.field, range, of.type)
  local plain = type(value) == "number" and value or nil
  note(state, of.name, of.names and NAMES[of.names][plain] or plain)
  local names = NAMES[of.names]
  if is_flags(names) then
    local set = {}
    for _, pair in ipairs(names) do
      if bit.band(plain, pair[1]) ~= 0 then set[#set + 1] = pair[2] end
    end
    if #set > 0 then item:append_text(" (" .. table.concat(set, ", ") .. ")") end
  end
  if of.none == "ones" and tostring(value):match("^18446744073709551615") then item:append_text(" (none)")
  elseif of.none == "zero" and tostring(value) == "0" then item:append_text(" (none)")
  elseif of.unit then item:append_text(" (" .. (of.unit == "moment" and "seconds since 1970" or of.unit) .. ")") end
  return item
end

local add_struct

local function add_field(tree, of, range, state, outer, struct)
  local read = state.read
  local at, kind = of.at, of.type
  local left = range:len() - at
  local function family_of(where)
    local own = where ~= "outer" and read.u16(range(where, 2)) or 0
    return (own ~= 0 or of.only) and own or outer
  end
  if kind == "struct" then
    local inner = STRUCTS[of.struct]
    if left < inner.size then return end
    local own = struct.family and family_of(struct.family) or 0
    local subtree = tree:add(xfrm, range(at, inner.size), of.name .. " (" .. of.struct .. ")")
    add_struct(subtree, of.struct, range(at, inner.size), state, own)
  elseif kind == "address" then
    add_address(tree, of, range(at, 16), family_of(of.family), state)
  elseif kind == "name" then
    local text = range(at, of.size):string():gsub("\0.*", "")
    tree:add(of.field, range(at, of.size), text)
    note(state, of.name, text)
  elseif kind == "truth" then
    tree:add(of.field, range(at, 1))
    note(state, of.name, range(at, 1):uint())
  elseif kind == "key" then
    local bits = read.u32(range(of.bits, 4))
    local size = math.min(math.ceil(bits / 8), left)
    if size == 0 then return end
    if xfrm.prefs.keys then tree:add(of.field, range(at, size))
    else tree:add(of.hidden, range(of.bits, 4), bits):append_text(" bits, hidden (preference xfrm.keys)") end
  elseif kind == "words" then
    for i = 0, math.min(read.u32(range(of.count, 4)), math.floor(left / 4)) - 1 do
      read.add(tree, of.field, range(at + 4 * i, 4), "u32")
    end
  elseif kind == "text" then
    local size = math.min(read.u16(range(of.length, 2)), left)
    if size > 0 then tree:add(of.field, range(at, size)) end
  elseif kind == "ip" then
    local family = read.u16(range(of.family, 2))
    local size = family == INET6 and 16 or 4
    if left >= size then add_address(tree, of, range(at, size), family, state) end
  elseif kind == "rest" then
    if left > 0 then tree:add(of.field, range(at, left)) end
  elseif left >= SIZE[kind] then
    add_number(tree, of, range(at, SIZE[kind]), read, state)
  end
end

-- A struct with what follows it in the same attribute.
add_struct = function(tree, kernel, range, state, outer)
  local struct, prefix = STRUCTS[kernel], state.prefix
  if kernel == "xfrm_selector" then state.prefix = "sel." end
  for _, of in ipairs(struct.fields) do add_field(tree, of, range, state, outer, struct) end
  state.prefix = prefix
end

local function wrong(tree, range, text)
  tree:add_proto_expert_info(malformed, text)
  if range and range:len() > 0 then tree:add(f.unknown, range) end
end

-- The family of addresses in the attributes beside a struct, or after it.
local function family_around(kernel, range, state)
  local where = STRUCTS[kernel].around
  return where == "outer" and state.family or state.read.u16(range(where, 2))
end

local function add_attribute(tree, space, range, state)
  local read = state.read
  local length, number = read.u16(range(0, 2)), bit.band(read.u16(range(2, 2)), 0x3fff)
  local of = space[number]
  local name = of and of.name or ("attribute " .. number)
  local subtree = tree:add(xfrm, range, name)
  read.add(subtree, f.attribute_length, range(0, 2), "u16")
  read.add(subtree, f.attribute, range(2, 2), "u16"):append_text(" (" .. name .. ")")
  if of and of.type == "flag" then subtree:add(of.field, range(0, 4), true) end
  if length == 4 then return end
  local payload = range(4, length - 4)
  local kind = of and of.type
  if kind == nil then subtree:add(f.unknown, payload)
  elseif kind == "struct" then
    if payload:len() < STRUCTS[of.struct].size then return wrong(subtree, payload, name .. " is too short") end
    if of.name == "XFRMA_SA" or of.name == "XFRMA_POLICY" then
      state.listens = true
      state.family = family_around(of.struct, payload, state)
    end
    add_struct(subtree, of.struct, payload, state, state.family)
    state.listens = false
  elseif kind == "list" then
    local size = STRUCTS[of.struct].size
    for at = 0, payload:len() - size, size do
      local one = payload(at, size)
      add_struct(subtree:add(xfrm, one, of.struct), of.struct, one, state, state.family)
    end
    if payload:len() % size > 0 then wrong(subtree, nil, name .. " has an incomplete " .. of.struct) end
  elseif kind == "address" then
    if payload:len() < 16 then return wrong(subtree, payload, name .. " is too short") end
    add_address(subtree, of, payload, state.family, state)
  elseif kind ~= "flag" and kind ~= "pad" then
    local size = SIZE[kind]
    if payload:len() < size then return wrong(subtree, payload, name .. " is too short") end
    add_number(subtree, of, payload(0, size), read, state)
    local value = read[kind](payload(0, size))
    subtree:append_text(": " .. (of.hex and string.format("0x%x", tonumber(tostring(value))) or tostring(value)))
  end
end

local function add_attributes(tree, space, range, state)
  local at, total = 0, range:len()
  while total - at >= 4 do
    local length = state.read.u16(range(at, 2))
    if length < 4 or length > total - at then
      return wrong(tree, range(at), "the attribute's length, " .. length .. ", is invalid")
    end
    add_attribute(tree, space, range(at, length), state)
    at = at + math.floor((length + 3) / 4) * 4
  end
  if total > at then wrong(tree, range(at), "bytes after the last attribute") end
end

-- One line about a message.
local function summary(name, request, said)
  local words = { (request and "request " or "") .. name }
  local function word(text) words[#words + 1] = text end
  if said.hard then word(said.hard == 1 and "hard" or "soft") end
  if said.index then
    word(tostring(said.dir))
    local function net(of) return (said["sel." .. of .. "addr"] or "any") .. "/" .. (said["sel.prefixlen_" .. of] or 0) end
    word(net("s") .. " > " .. net("d"))
  end
  if said.saddr and said.daddr then word(said.saddr .. " > " .. said.daddr)
  elseif said.daddr then word(said.daddr) end
  if said.spi then
    word(tostring(said.proto))
    word(spi_text(said.spi))
  end
  if said.reqid and said.reqid ~= 0 then word("reqid " .. said.reqid) end
  return table.concat(words, " ")
end

local function header(tree, range, read)
  local type = read.u16(range(4, 2))
  read.add(tree, f.length, range(0, 4), "u32")
  local item = read.add(tree, f.type, range(4, 2), "u16")
  if NLMSG[type] then item:append_text(" " .. NLMSG[type]) end
  local flags = read.u16(range(6, 2))
  local names = {}
  if bit.band(flags, REQUEST) ~= 0 then names[#names + 1] = "request" end
  if bit.band(flags, MULTI) ~= 0 then names[#names + 1] = "multi" end
  item = read.add(tree, f.flags, range(6, 2), "u16")
  if #names > 0 then item:append_text(" (" .. table.concat(names, ", ") .. ")") end
  read.add(tree, f.seq, range(8, 4), "u32")
  read.add(tree, f.port, range(12, 4), "u32")
  return type, flags
end

function xfrm.dissector(buffer, pinfo, root)
  local total = buffer:len()
  if total < 16 then return 0 end
  -- Types are small numbers.
  local little = buffer(4, 2):le_uint() <= buffer(4, 2):uint()
  local read = reader(little)
  local length = read.u32(buffer(0, 4))
  local range = buffer(0, math.max(math.min(length, total), 16))
  local tree = root:add(xfrm, range)
  local type, flags = header(tree, range, read)
  if length < 16 or length > total then wrong(tree, nil, "the message's length, " .. length .. ", is invalid") end
  pinfo.cols.protocol = "XFRM"
  local message = MESSAGES[type]
  if not message then
    local text = NLMSG[type] or ("type " .. type)
    if type == 2 and length >= 20 then
      local code = little and range(16, 4):le_int() or range(16, 4):int()
      text = code == 0 and "ack" or ("error " .. -code)
    end
    tree:append_text(", " .. text)
    pinfo.cols.info:append(" " .. text)
    if length > 16 then tree:add(f.unknown, range(16)) end
    return total
  end
  local request = bit.band(flags, REQUEST) ~= 0
  local state = { read = read, said = {}, prefix = "", listens = true, family = 0 }
  local body = range:len() > 16 and range(16) or nil
  local size = message.size
  if request and message.bare and bit.band(flags, DUMP) == DUMP then size = 0 end
  local item = tree:add(f.message, range(4, 2), message.name)
  item:set_generated()
  if size > 0 then
    if body == nil or body:len() < size then
      wrong(tree, body, message.name .. " is too short")
      return total
    end
    if message.struct then
      state.family = family_around(message.struct, body, state)
      local subtree = tree:add(xfrm, body(0, size), message.struct)
      add_struct(subtree, message.struct, body(0, size), state, state.family)
      state.listens = false
    else
      read.add(tree, f.word, body(0, 4), "u32")
    end
  end
  local from = math.floor((size + 3) / 4) * 4
  if body and body:len() > from then add_attributes(tree, SPACES[message.space], body(from), state) end
  local text = summary(message.name, request, state.said)
  tree:append_text(", " .. text)
  pinfo.cols.info:append(" " .. text)
  return total
end

-- NETLINK_XFRM
DissectorTable.get("netlink.protocol"):add(6, xfrm)
