import { createHmac, timingSafeEqual } from 'node:crypto';

/** Whether a request is genuine. `headers` by lower-case name, `body` the bytes as they came. */
export function genuine(secret, headers, body) {
  const [id, time] = [headers['webhook-id'], headers['webhook-timestamp']];
  if (!(Math.abs(Date.now() / 1000 - Number(time)) <= 300)) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const mine = createHmac('sha256', key).update(`${id}.${time}.`).update(body).digest();
  return headers['webhook-signature'].split(' ').some((one) => {
    const theirs = Buffer.from(one.replace(/^v1,/, ''), 'base64');
    return theirs.length === mine.length && timingSafeEqual(theirs, mine);
  });
}
