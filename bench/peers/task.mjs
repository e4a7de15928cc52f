/** What is inserted. */
export const NEW_TASK = { title: 'A new task', body: 'What is to be done', status: 'open', priority: 3 };
export const NEW_TITLE = { title: 'Another title' };
