/* SPDX-License-Identifier: MIT */
#include "mm/page.h"

#include "base/assert.h"

void page_list_init(struct page_list *list)
{
	*list = (struct page_list)PAGE_LIST_INIT;
}

void page_list_add_head(struct page *mem_map, struct page_list *list, pfn_t pfn)
{
	struct page *page = &mem_map[pfn];

	page->prev = PFN_NONE;
	page->next = list->head;
	if (list->head == PFN_NONE)
		list->tail = pfn;
	else
		mem_map[list->head].prev = pfn;
	list->head = pfn;
	list->nr++;
}

void page_list_add_tail(struct page *mem_map, struct page_list *list, pfn_t pfn)
{
	struct page *page = &mem_map[pfn];

	page->next = PFN_NONE;
	page->prev = list->tail;
	if (list->tail == PFN_NONE)
		list->head = pfn;
	else
		mem_map[list->tail].next = pfn;
	list->tail = pfn;
	list->nr++;
}

void page_list_del(struct page *mem_map, struct page_list *list, pfn_t pfn)
{
	struct page *page = &mem_map[pfn];

	MM_ASSERT(list->nr > 0);
	if (page->prev == PFN_NONE)
		list->head = page->next;
	else
		mem_map[page->prev].next = page->next;
	if (page->next == PFN_NONE)
		list->tail = page->prev;
	else
		mem_map[page->next].prev = page->prev;
	page->next = page->prev = PFN_NONE;
	list->nr--;
}
