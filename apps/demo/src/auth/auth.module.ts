import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { JwtModule, type JwtModuleOptions } from '@nestjs/jwt';
import { TypeOrmModule } from '@nestjs/typeorm';
import { randomBytes } from 'node:crypto';
import { AppUser } from '../users/app-user.entity.js';
import { AuthController } from './auth.controller.js';
import { AuthGuard } from './auth.guard.js';
import { AuthService, TOKEN_LIFETIME } from './auth.service.js';

const ISSUER = 'nestjs-rls-tenants-demo';
const MIN_SECRET_LENGTH = 32;

/** Sign-in, and a guard for every handler that is not `@Public()`. */
@Module({
  imports: [TypeOrmModule.forFeature([AppUser]), JwtModule.registerAsync({ useFactory: jwtOptions })],
  controllers: [AuthController],
  providers: [AuthService, { provide: APP_GUARD, useClass: AuthGuard }],
})
export class AuthModule {}

// One algorithm on both sides, so that no token chooses how it is verified.
function jwtOptions(): JwtModuleOptions {
  return {
    secret: jwtSecret(),
    signOptions: { algorithm: 'HS256', expiresIn: TOKEN_LIFETIME, issuer: ISSUER },
    verifyOptions: { algorithms: ['HS256'], issuer: ISSUER },
  };
}

// Without JWT_SECRET every start has a secret of its own: a restart signs everybody out, and nothing is guessable.
function jwtSecret(): string {
  const secret = process.env.JWT_SECRET;
  if (!secret) return randomBytes(MIN_SECRET_LENGTH).toString('base64url');
  if (secret.length >= MIN_SECRET_LENGTH) return secret;
  throw new Error(
    `JWT_SECRET is too short: use at least ${MIN_SECRET_LENGTH} random characters, or leave it unset.`,
  );
}
