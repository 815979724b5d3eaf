// A thumbnail of the JPEG in the event: libvips, a native module, in the sandbox.
const sharp = require('sharp');

exports.handler = async (event) => {
  const image = sharp(Buffer.from(event.jpeg, 'base64'));
  const { width, height, format } = await image.metadata();
  const { data, info } = await image.resize(event.width).jpeg({ quality: 80 }).toBuffer({ resolveWithObject: true });
  return { from: { width, height, format }, to: { width: info.width, height: info.height, bytes: info.size }, jpeg: data.toString('base64') };
};
