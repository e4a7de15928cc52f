import { installSeal, RlsMigration, sealKeys, sealKeysFromEnvironment } from 'nestjs-rls-tenants/migrations';
import { settings } from './settings.js';

/** What verifies seals, and the keys. The policies do not ask for a seal yet. */
export class InstallSeal1764000000008 extends RlsMigration {
  readonly name = 'InstallSeal1764000000008';

  readonly operations = [
    installSeal({ appRole: settings.appRole, adminRole: settings.adminRole, otherRoles: ['demo_console'] }),
    sealKeys({ keys: () => sealKeysFromEnvironment() }),
  ];
}
