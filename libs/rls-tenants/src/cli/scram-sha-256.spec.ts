import { createHash, createHmac } from 'node:crypto';
import { RlsConfigurationError } from '../errors.js';
import { scramVerifier } from './scram-sha-256.js';

// The exchange of RFC 7677, section 3.
const SALT = 'W22ZaJ0SNY7soEsUEjb6gQ==';
const NONCE = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
const MESSAGES = `n=user,r=rOprNGfwEbeRWgbNEkqO,r=${NONCE},s=${SALT},i=4096,c=biws,r=${NONCE}`;
const CLIENT_PROOF = 'dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=';
const SERVER_SIGNATURE = '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=';

describe('scramVerifier', () => {
  it('lets a server authenticate the client, and itself, as RFC 7677 does', () => {
    const verifier = scramVerifier('pencil', 'PASSWORD', Buffer.from(SALT, 'base64'));
    const [, salt, storedKey, serverKey] = /^SCRAM-SHA-256\$4096:(.*)\$(.*):(.*)$/.exec(verifier)!;
    expect(salt).toBe(SALT);

    const hmac = (key: string) => createHmac('sha256', Buffer.from(key, 'base64')).update(MESSAGES).digest();
    expect(hmac(serverKey!).toString('base64')).toBe(SERVER_SIGNATURE);
    const signature = hmac(storedKey!);
    const clientKey = Buffer.from(CLIENT_PROOF, 'base64').map((byte, index) => byte ^ signature[index]!);
    expect(createHash('sha256').update(clientKey).digest('base64')).toBe(storedKey);
  });

  it('salts each password anew', () => {
    expect(scramVerifier('pencil', 'PASSWORD')).not.toBe(scramVerifier('pencil', 'PASSWORD'));
  });

  it.each(['', 'pässword', 'a\nb'])('refuses %j, and does not repeat it', (password) => {
    expect(() => scramVerifier(password, 'RLS_APP_PASSWORD')).toThrow(RlsConfigurationError);
    expect(() => scramVerifier(password, 'RLS_APP_PASSWORD')).toThrow('RLS_APP_PASSWORD');
  });
});
