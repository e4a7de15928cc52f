// Every entry that needs no optional package is loaded, and the one that does names what is missing.
import assert from 'node:assert/strict';
import * as library from 'nestjs-rls-tenants';
import * as migrations from 'nestjs-rls-tenants/migrations';
import * as testing from 'nestjs-rls-tenants/testing';

assert.equal(typeof library.RlsTenantsModule.forRoot, 'function');
assert.equal(typeof migrations.protectTable, 'function');
assert.equal(typeof testing.startEmbeddedPostgres, 'function');
console.log('The entries are loaded.');
