// What the scripts share. Settings come from the environment alone, as they do for any program that uses the SDK.
import { randomUUID } from 'node:crypto';
import { deflateRawSync, crc32 as zlibCrc32 } from 'node:zlib';

export const ROLE = 'arn:aws:iam::000000000000:role/hearth-basic';
export const name = (prefix) => `${prefix}-${randomUUID().slice(0, 8)}`;
export const text = (payload) => Buffer.from(payload).toString('utf8');

function crc32(bytes) {
  if (zlibCrc32) return zlibCrc32(bytes);
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}

// A zip of text files, deflated: {path: text} -> Buffer.
export function zip(files) {
  const local = [], central = [];
  let offset = 0;
  for (const [path, content] of Object.entries(files)) {
    const file = Buffer.from(path), plain = Buffer.from(content), packed = deflateRawSync(plain);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(0x0800, 2); // names are UTF-8
    fields.writeUInt16LE(8, 4);
    fields.writeUInt32LE(0x58210000, 6); // 2024-01-01
    fields.writeUInt32LE(crc32(plain), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(plain.length, 18);
    fields.writeUInt16LE(file.length, 22);
    local.push(Buffer.from('PK\x03\x04'), fields, file, packed);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE((0o100644 << 16) >>> 0, 6);
    tail.writeUInt32LE(offset, 10);
    central.push(Buffer.from('PK\x01\x02'), Buffer.from([20, 3]), fields, tail, file);
    offset += 30 + file.length + packed.length;
  }
  const directory = Buffer.concat(central), end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(Object.keys(files).length, 8);
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...local, directory, end]);
}
