import { CreateWorkspace1764000000000 } from './1764000000000-create-workspace.js';
import { CreateAppUser1764000000001 } from './1764000000001-create-app-user.js';
import { CreateTag1764000000002 } from './1764000000002-create-tag.js';
import { CreateProject1764000000003 } from './1764000000003-create-project.js';
import { CreateTask1764000000004 } from './1764000000004-create-task.js';
import { CreateTaskTag1764000000005 } from './1764000000005-create-task-tag.js';
import { TaskIndexes1764000000006 } from './1764000000006-task-indexes.js';
import { TaskTagIndexes1764000000007 } from './1764000000007-task-tag-indexes.js';
import { InstallSeal1764000000008 } from './1764000000008-install-seal.js';
import { SealTables1764000000009 } from './1764000000009-seal-tables.js';
import { GrantConsole1764000000010 } from './1764000000010-grant-console.js';
import { NoStatisticsOfTexts1764000000011 } from './1764000000011-no-statistics-of-texts.js';

/** The migrations, oldest first. */
export const migrations = [
  CreateWorkspace1764000000000,
  CreateAppUser1764000000001,
  CreateTag1764000000002,
  CreateProject1764000000003,
  CreateTask1764000000004,
  CreateTaskTag1764000000005,
  TaskIndexes1764000000006,
  TaskTagIndexes1764000000007,
  InstallSeal1764000000008,
  SealTables1764000000009,
  GrantConsole1764000000010,
  NoStatisticsOfTexts1764000000011,
];
